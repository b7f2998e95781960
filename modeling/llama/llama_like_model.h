#ifndef PRETRAINED_MODELING_LLAMA_LLAMA_LIKE_MODEL_H_
#define PRETRAINED_MODELING_LLAMA_LLAMA_LIKE_MODEL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "modeling/layers.h"
#include "modeling/llama/llama_config.h"
#include "modeling/llama/llama_decoder.h"
#include "modeling/llama/llama_inputs.h"
#include "modeling/model_layout.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/pretrained_config.h"
#include "modeling/pretrained_model.h"

namespace pretrained {

// LLaMA's classes, and those of families that are built as LLaMA is (Mistral),
// derive from these: a family adds its config, its layout and its name.
// Linking this registers nothing.

// Embeddings, layers of attention and feed-forward, a norm.
//
// Keys and values of fewer heads than queries (num_key_value_heads) are neither
// repeated nor cached repeatedly. Unless attentions are asked for, one fused
// kernel computes them, without a mask where no token is padding.
//
// Memory: the layers share one set of rotary tables.
// Threads: as PretrainedModel. With dynamic rope_scaling a result depends on
//     the longest sequence that the model has seen (RotaryEmbedding).
class LlamaLikeModel : public PretrainedModel {
 public:
  absl::StatusOr<BaseModelOutput> Forward(const LlamaModelInputs& inputs,
                                          const ForwardOptions& options = {});

  absl::StatusOr<ModelOutput> Call(const NamedTensors& inputs,
                                   const ForwardOptions& options = {}) override;

  // Normal(0, initializer_range), biases 0, norms 1, the padding row 0.
  // Matches: `LlamaPreTrainedModel._init_weights`.
  void InitializeTensor(const TensorToInitialize& target) const override;

  std::string InputEmbeddingsPath() const override { return "embed_tokens"; }

  const LlamaConfig& llama_config() const { return llama_; }

 protected:
  // Those that share a key and value go together.
  std::optional<AttentionHeads> attention_heads() const override;
  void TakePrunedHeads(const PrunedHeads& pruned) override {
    llama_.pruned_heads = pruned;
  }
  void TakeVocabSize(int64_t vocab_size) override {
    llama_.vocab_size = vocab_size;
  }

  // `window`: that of CausalBiasOptions.
  LlamaLikeModel(PretrainedConfig config, const LlamaConfig& llama,
                 std::optional<int64_t> window, ModelLayout layout,
                 const ModuleOptions& options);

 private:
  // What all layers get, for inputs that are checked.
  absl::StatusOr<LlamaLayerArguments> Prepare(const LlamaModelInputs& inputs,
                                              const LlamaInputSizes& sizes,
                                              const ForwardOptions& options);

  LlamaConfig llama_;
  const std::optional<int64_t> window_;
  std::shared_ptr<Embedding> embed_tokens_;
  std::vector<std::shared_ptr<LlamaLayer>> layers_;
  std::shared_ptr<RmsNorm> norm_;
};

// Makes the family's base model for a class with a head, which owns it.
using MakeLlamaLikeModel = absl::FunctionRef<std::shared_ptr<LlamaLikeModel>(
    const PretrainedConfig& config, ModelLayout layout)>;

// With logits for the next token at each one, in float32.
class LlamaLikeForCausalLM : public PretrainedModel {
 public:
  absl::StatusOr<HeadOutput> Forward(const LlamaHeadInputs& inputs,
                                     const ForwardOptions& options = {});

  absl::StatusOr<ModelOutput> Call(const NamedTensors& inputs,
                                   const ForwardOptions& options = {}) override;

  void InitializeTensor(const TensorToInitialize& target) const override;

  std::string InputEmbeddingsPath() const override {
    return "model.embed_tokens";
  }
  std::string OutputEmbeddingsPath() const override { return "lm_head"; }
  std::vector<std::string> GenerationInputs() const override {
    return {"position_ids", "inputs_embeds"};
  }

  LlamaLikeModel& model() { return *model_; }

 protected:
  LlamaLikeForCausalLM(PretrainedConfig config, ModelLayout layout,
                       const ModuleOptions& options,
                       MakeLlamaLikeModel make_model);

 private:
  std::shared_ptr<LlamaLikeModel> model_;
  std::shared_ptr<Linear> lm_head_;
};

// With logits of a class for each row, from its last token before padding.
// kInvalidArgument for several rows without a pad_token_id in the config.
class LlamaLikeForSequenceClassification : public PretrainedModel {
 public:
  absl::StatusOr<HeadOutput> Forward(const LlamaHeadInputs& inputs,
                                     const ForwardOptions& options = {});

  absl::StatusOr<ModelOutput> Call(const NamedTensors& inputs,
                                   const ForwardOptions& options = {}) override;

  void InitializeTensor(const TensorToInitialize& target) const override;

  std::string InputEmbeddingsPath() const override {
    return "model.embed_tokens";
  }

  LlamaLikeModel& model() { return *model_; }

 protected:
  LlamaLikeForSequenceClassification(PretrainedConfig config,
                                     ModelLayout layout,
                                     const ModuleOptions& options,
                                     MakeLlamaLikeModel make_model);

 private:
  std::shared_ptr<LlamaLikeModel> model_;
  std::shared_ptr<Linear> score_;
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_LLAMA_LLAMA_LIKE_MODEL_H_
