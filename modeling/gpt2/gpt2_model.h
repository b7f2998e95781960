#ifndef PRETRAINED_MODELING_GPT2_GPT2_MODEL_H_
#define PRETRAINED_MODELING_GPT2_GPT2_MODEL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modeling/from_pretrained.h"
#include "modeling/gpt2/gpt2_block.h"
#include "modeling/gpt2/gpt2_config.h"
#include "modeling/gpt2/gpt2_inputs.h"
#include "modeling/layers.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/pretrained_model.h"

namespace pretrained {

// GPT-2 without a head: token ids become a vector for each token.
//
//   auto model = GPT2Model::FromPretrained("gpt2");
//   auto output = (*model)->Forward({.input_ids = ids});
//   // The next token, with what is kept of those before it:
//   output = (*model)->Forward(
//       {.input_ids = next, .past_key_values = output->past_key_values});
//
// Where attentions are not asked for, one fused kernel computes attention;
// results agree up to rounding.
// Matches: transformers 4.34 modeling_gpt2.py `GPT2Model`.
// Differs: input_ids are of rank 2. Half models with reorder_and_upcast_attn
//     hide padding by float32's lowest value, as float32 models do; there, by
//     the half dtype's.
class GPT2Model : public PretrainedModel, public Loadable<GPT2Model> {
 public:
  GPT2Model(PretrainedConfig config, const GPT2Config& gpt2, ModelLayout layout,
            const ModuleOptions& options);
  static const ModelClass& Class();

  absl::StatusOr<BaseModelOutput> Forward(const GPT2ModelInputs& inputs,
                                          const ForwardOptions& options = {});
  absl::StatusOr<ModelOutput> Call(const NamedTensors& inputs,
                                   const ForwardOptions& options = {}) override;

  void InitializeTensor(const TensorToInitialize& target) const override;
  std::string InputEmbeddingsPath() const override { return "wte"; }

  // The checked config, which input ids are checked against.
  const GPT2Config& gpt2_config() const { return gpt2_; }

 protected:
  // Self-attention's alone.
  std::optional<AttentionHeads> attention_heads() const override;
  void TakePrunedHeads(const PrunedHeads& pruned) override {
    gpt2_.pruned_heads = pruned;
  }
  void TakeVocabSize(int64_t vocab_size) override {
    gpt2_.vocab_size = vocab_size;
  }

 private:
  // What every block gets, and what of it differs from block to block.
  struct Prepared {
    GPT2BlockArguments shared;
    std::vector<at::Tensor> head_mask;  // One entry a layer.
  };
  absl::StatusOr<Prepared> Prepare(const GPT2ModelInputs& inputs,
                                   bool output_attentions) const;
  // Puts in `arguments` what keeps queries from keys, as a bias or is_causal.
  absl::Status SetMask(const GPT2ModelInputs& inputs,
                       GPT2BlockArguments& arguments) const;
  at::Tensor Embed(const GPT2ModelInputs& inputs);

  GPT2Config gpt2_;
  std::shared_ptr<Embedding> wte_;
  std::shared_ptr<Embedding> wpe_;
  std::shared_ptr<Dropout> drop_;
  std::vector<std::shared_ptr<GPT2Block>> blocks_;
  std::shared_ptr<LayerNorm> ln_f_;
};

// Draws a tensor of any GPT-2 class as `GPT2PreTrainedModel._init_weights`
// does: as most families, but projections back to the residual stream with a
// standard deviation that shrinks with the root of their number.
void InitializeGPT2Tensor(const GPT2Config& config,
                          const TensorToInitialize& target);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_GPT2_GPT2_MODEL_H_
