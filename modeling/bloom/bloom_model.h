#ifndef PRETRAINED_MODELING_BLOOM_BLOOM_MODEL_H_
#define PRETRAINED_MODELING_BLOOM_BLOOM_MODEL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modeling/bloom/bloom_block.h"
#include "modeling/bloom/bloom_config.h"
#include "modeling/bloom/bloom_inputs.h"
#include "modeling/from_pretrained.h"
#include "modeling/layers.h"
#include "modeling/model_layout.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/pretrained_config.h"
#include "modeling/pretrained_model.h"

namespace pretrained {

// BLOOM without a head: token ids become a vector for each token.
//
//   auto model = BloomModel::FromPretrained("bigscience/bloom-560m");
//   auto first = (*model)->Forward({.input_ids = ids});
//   first->last_hidden_state;   // [batch, tokens, 1024]
//   auto next = (*model)->Forward(
//       {.input_ids = id, .past_key_values = first->past_key_values});
//
// Positions are ALiBi's (alibi.h): any length will do, and padding on the left
// changes nothing. Where neither attentions nor a head mask are asked for, one
// fused kernel computes attention; results agree up to rounding.
// Memory: biases and masks are one tensor for all layers, [batch, heads,
//     tokens, tokens] of float32.
// Matches: transformers 4.34 modeling_bloom.py `BloomModel`: a token that sees
//     padding alone gives equal weight to all tokens.
// Differs: half models add positions to scores in float32; there, in the half
//     dtype.
class BloomModel : public PretrainedModel, public Loadable<BloomModel> {
 public:
  BloomModel(PretrainedConfig config, const BloomConfig& bloom,
             ModelLayout layout, const ModuleOptions& options);

  static const ModelClass& Class();

  absl::StatusOr<BaseModelOutput> Forward(const BloomModelInputs& inputs,
                                          const ForwardOptions& options = {});

  absl::StatusOr<ModelOutput> Call(const NamedTensors& inputs,
                                   const ForwardOptions& options = {}) override;

  // Normal(0, initializer_range), biases 0, norms 1.
  // Matches: `BloomPreTrainedModel._init_weights`.
  void InitializeTensor(const TensorToInitialize& target) const override;

  std::string InputEmbeddingsPath() const override { return "word_embeddings"; }

  const BloomConfig& bloom_config() const { return bloom_; }

 protected:
  std::optional<AttentionHeads> attention_heads() const override;
  void TakePrunedHeads(const PrunedHeads& pruned) override {
    bloom_.pruned_heads = pruned;
  }
  void TakeVocabSize(int64_t vocab_size) override {
    bloom_.vocab_size = vocab_size;
  }

 private:
  // What every block gets, for inputs that are checked.
  BloomBlockArguments Prepare(const BloomModelInputs& inputs,
                              const BloomInputSizes& sizes,
                              const ForwardOptions& options);

  BloomConfig bloom_;
  std::shared_ptr<Embedding> word_embeddings_;
  std::shared_ptr<LayerNorm> word_embeddings_norm_;
  std::vector<std::shared_ptr<BloomBlock>> blocks_;
  std::shared_ptr<LayerNorm> final_norm_;
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_BLOOM_BLOOM_MODEL_H_
