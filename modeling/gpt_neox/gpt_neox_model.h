#ifndef PRETRAINED_MODELING_GPT_NEOX_GPT_NEOX_MODEL_H_
#define PRETRAINED_MODELING_GPT_NEOX_GPT_NEOX_MODEL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modeling/from_pretrained.h"
#include "modeling/gpt_neox/gpt_neox_config.h"
#include "modeling/gpt_neox/gpt_neox_inputs.h"
#include "modeling/gpt_neox/gpt_neox_layer.h"
#include "modeling/layers.h"
#include "modeling/model_layout.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/pretrained_config.h"
#include "modeling/pretrained_model.h"
#include "modeling/rotary.h"

namespace pretrained {

// GPT-NeoX without a head (Pythia, GPT-NeoX-20B, Dolly): token ids become a
// vector for each token.
//
//   auto model = GPTNeoXModel::FromPretrained("pythia-70m");
//   auto first = (*model)->Forward({.input_ids = ids});
//   first->last_hidden_state;   // [batch, tokens, 512]
//   auto next = (*model)->Forward(
//       {.input_ids = id, .past_key_values = first->past_key_values});
//
// Where neither attentions nor a head mask are asked for, one fused kernel
// computes attention; results agree up to rounding.
// Memory: the layers share one set of rotary tables.
// Threads: as PretrainedModel; RotaryEmbedding says what a result depends on
//     beside its inputs.
// Matches: transformers 4.34 modeling_gpt_neox.py `GPTNeoXModel`.
// Differs: see CheckGPTNeoXInputs(). Half models hide padding by float32's
//     lowest value, as float32 models do; there, by the half dtype's. After a
//     sequence longer than max_position_embeddings, buffers stay as they were.
class GPTNeoXModel : public PretrainedModel, public Loadable<GPTNeoXModel> {
 public:
  GPTNeoXModel(PretrainedConfig config, const GPTNeoXConfig& neox,
               ModelLayout layout, const ModuleOptions& options);

  static const ModelClass& Class();

  absl::StatusOr<BaseModelOutput> Forward(const GPTNeoXModelInputs& inputs,
                                          const ForwardOptions& options = {});

  absl::StatusOr<ModelOutput> Call(const NamedTensors& inputs,
                                   const ForwardOptions& options = {}) override;

  // Normal(0, initializer_range), biases 0, norms 1; frequencies as the config
  // says.
  // Matches: `GPTNeoXPreTrainedModel._init_weights`.
  void InitializeTensor(const TensorToInitialize& target) const override;

  std::string InputEmbeddingsPath() const override { return "embed_in"; }

  const GPTNeoXConfig& gpt_neox_config() const { return neox_; }

 protected:
  std::optional<AttentionHeads> attention_heads() const override;
  void TakePrunedHeads(const PrunedHeads& pruned) override {
    neox_.pruned_heads = pruned;
  }
  void TakeVocabSize(int64_t vocab_size) override {
    neox_.vocab_size = vocab_size;
  }

 private:
  // What every layer gets, and what of it differs from layer to layer.
  struct Prepared {
    GPTNeoXLayerArguments shared;
    std::vector<at::Tensor> head_mask;  // One entry a layer.
    // Each layer turns by frequencies that it stores itself.
    RotaryPositions positions;
  };
  // For inputs that are checked.
  absl::StatusOr<Prepared> Prepare(const GPTNeoXModelInputs& inputs,
                                   const GPTNeoXInputSizes& sizes,
                                   const ForwardOptions& options);
  // Puts in `arguments` what keeps queries from keys, as a bias or is_causal.
  absl::Status SetMask(const GPTNeoXModelInputs& inputs,
                       const GPTNeoXInputSizes& sizes,
                       GPTNeoXLayerArguments& arguments) const;

  GPTNeoXConfig neox_;
  std::shared_ptr<Embedding> embed_in_;
  std::shared_ptr<Dropout> emb_dropout_;
  std::vector<std::shared_ptr<GPTNeoXLayer>> layers_;
  std::shared_ptr<LayerNorm> final_layer_norm_;
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_GPT_NEOX_GPT_NEOX_MODEL_H_
