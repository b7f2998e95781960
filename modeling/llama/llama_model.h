#ifndef PRETRAINED_MODELING_LLAMA_LLAMA_MODEL_H_
#define PRETRAINED_MODELING_LLAMA_LLAMA_MODEL_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modeling/from_pretrained.h"
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

// LLaMA: embeddings, layers of attention and feed-forward, a norm.
//
//   auto model = LlamaModel::FromPretrained("llama-7b",
//                                           {.torch_dtype = "float16"});
//   auto first = (*model)->Forward({.input_ids = ids});
//   first->last_hidden_state;   // [batch, tokens, 4096]
//   auto next = (*model)->Forward(
//       {.input_ids = id, .past_key_values = first->past_key_values});
//
// Keys and values of fewer heads than queries (num_key_value_heads) are neither
// repeated nor cached repeatedly. Unless attentions are asked for, one fused
// kernel computes them, without a mask where no token is padding.
//
// Memory: the layers share one set of rotary tables.
// Threads: as PretrainedModel. With dynamic rope_scaling a result depends on
//     the longest sequence that the model has seen (RotaryEmbedding).
// Matches: transformers 4.34 modeling_llama.py `LlamaModel`.
// Differs: see CheckLlamaInputs(). With pretraining_tp, slices of a product are
//     not computed apart: the same but for rounding.
class LlamaModel : public PretrainedModel, public Loadable<LlamaModel> {
 public:
  LlamaModel(PretrainedConfig config, const LlamaConfig& llama,
             ModelLayout layout, const ModuleOptions& options);

  static const ModelClass& Class();

  absl::StatusOr<BaseModelOutput> Forward(const LlamaModelInputs& inputs,
                                          const ForwardOptions& options = {});

  absl::StatusOr<ModelOutput> Call(const NamedTensors& inputs,
                                   const ForwardOptions& options = {}) override;

  // Normal(0, initializer_range), biases 0, norms 1, the padding row 0.
  // Matches: `LlamaPreTrainedModel._init_weights`.
  void InitializeTensor(const TensorToInitialize& target) const override;

  std::string InputEmbeddingsPath() const override { return "embed_tokens"; }

  const LlamaConfig& llama_config() const { return llama_; }

 private:
  // What all layers get, for inputs that are checked.
  absl::StatusOr<LlamaLayerArguments> Prepare(const LlamaModelInputs& inputs,
                                              const LlamaInputSizes& sizes,
                                              const ForwardOptions& options);

  const LlamaConfig llama_;
  std::shared_ptr<Embedding> embed_tokens_;
  std::vector<std::shared_ptr<LlamaLayer>> layers_;
  std::shared_ptr<RmsNorm> norm_;
};

// With logits for the next token at each one.
//
//   auto output = (*model)->Forward({{.input_ids = ids}, .labels = ids});
//   output->logits;   // [batch, tokens, vocab_size], float32
//   output->loss;     // Of each token's prediction of the next.
//
// Matches: transformers 4.34 `LlamaForCausalLM`: with pretraining_tp above 1,
//     logits beyond a multiple of it are left out.
class LlamaForCausalLM : public PretrainedModel,
                         public Loadable<LlamaForCausalLM> {
 public:
  LlamaForCausalLM(PretrainedConfig config, const LlamaConfig& llama,
                   ModelLayout layout, const ModuleOptions& options);

  static const ModelClass& Class();

  absl::StatusOr<HeadOutput> Forward(const LlamaHeadInputs& inputs,
                                     const ForwardOptions& options = {});

  absl::StatusOr<ModelOutput> Call(const NamedTensors& inputs,
                                   const ForwardOptions& options = {}) override;

  void InitializeTensor(const TensorToInitialize& target) const override;

  std::string InputEmbeddingsPath() const override {
    return "model.embed_tokens";
  }
  std::string OutputEmbeddingsPath() const override { return "lm_head"; }

  LlamaModel& model() { return *model_; }

 private:
  std::shared_ptr<LlamaModel> model_;
  std::shared_ptr<Linear> lm_head_;
};

// With logits of a class for each row, from its last token before padding.
//
// kInvalidArgument for several rows without a pad_token_id in the config.
// Matches: transformers 4.34 `LlamaForSequenceClassification`.
// Differs: where the config has no problem_type, each call's labels say what it
//     is; in 4.34 the first call's say it for all.
class LlamaForSequenceClassification
    : public PretrainedModel,
      public Loadable<LlamaForSequenceClassification> {
 public:
  LlamaForSequenceClassification(PretrainedConfig config,
                                 const LlamaConfig& llama, ModelLayout layout,
                                 const ModuleOptions& options);

  static const ModelClass& Class();

  absl::StatusOr<HeadOutput> Forward(const LlamaHeadInputs& inputs,
                                     const ForwardOptions& options = {});

  absl::StatusOr<ModelOutput> Call(const NamedTensors& inputs,
                                   const ForwardOptions& options = {}) override;

  void InitializeTensor(const TensorToInitialize& target) const override;

  std::string InputEmbeddingsPath() const override {
    return "model.embed_tokens";
  }

  LlamaModel& model() { return *model_; }

 private:
  std::shared_ptr<LlamaModel> model_;
  std::shared_ptr<Linear> score_;
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_LLAMA_LLAMA_MODEL_H_
