#ifndef PRETRAINED_MODELING_OPT_OPT_MODEL_H_
#define PRETRAINED_MODELING_OPT_OPT_MODEL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "modeling/from_pretrained.h"
#include "modeling/layers.h"
#include "modeling/model_layout.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/opt/opt_config.h"
#include "modeling/opt/opt_decoder.h"
#include "modeling/opt/opt_inputs.h"
#include "modeling/pretrained_config.h"
#include "modeling/pretrained_model.h"
#include "modeling/question_answering_output.h"

namespace pretrained {

// OPT without a head: token ids become a vector for each token.
//
//   auto model = OPTModel::FromPretrained("facebook/opt-125m");
//   auto first = (*model)->Forward({.input_ids = ids});
//   auto next = (*model)->Forward(
//       {.input_ids = id, .past_key_values = first->past_key_values});
//
// Positions follow from the attention mask, so that padding on the left moves
// no token. Where attentions are not asked for, one fused kernel computes
// attention; results agree up to rounding.
// Matches: transformers 4.34 modeling_opt.py `OPTModel`: a token that sees
//     padding alone gives equal weight to all tokens.
// Differs: see CheckOPTInputs(). Half models hide padding by float32's lowest
//     value, as float32 models do; there, by the half dtype's.
class OPTModel : public PretrainedModel, public Loadable<OPTModel> {
 public:
  OPTModel(PretrainedConfig config, const OPTConfig& opt, ModelLayout layout,
           const ModuleOptions& options);
  static const ModelClass& Class();

  // last_hidden_state is [batch, tokens, word_embed_proj_dim].
  absl::StatusOr<BaseModelOutput> Forward(const OPTModelInputs& inputs,
                                          const ForwardOptions& options = {});
  absl::StatusOr<ModelOutput> Call(const NamedTensors& inputs,
                                   const ForwardOptions& options = {}) override;

  // Normal(0, init_std), biases 0, norms 1, the padding row 0.
  // Matches: `OPTPreTrainedModel._init_weights`.
  void InitializeTensor(const TensorToInitialize& target) const override;
  std::string InputEmbeddingsPath() const override {
    return "decoder.embed_tokens";
  }

  const OPTConfig& opt_config() const { return opt_; }

 protected:
  std::optional<AttentionHeads> attention_heads() const override;
  void TakePrunedHeads(const PrunedHeads& pruned) override {
    opt_.pruned_heads = pruned;
  }
  void TakeVocabSize(int64_t vocab_size) override {
    opt_.vocab_size = vocab_size;
  }

 private:
  // What the decoder gets, for inputs that are checked.
  absl::StatusOr<OPTDecoderArguments> Prepare(
      const OPTModelInputs& inputs, OPTInputFacts facts,
      const ForwardOptions& options) const;

  OPTConfig opt_;
  std::shared_ptr<OPTDecoder> decoder_;
};

// OPT with one matrix on top of each token's vector: what its classes with a
// head have in common.
class OPTWithHead : public PretrainedModel {
 public:
  void InitializeTensor(const TensorToInitialize& target) const override;
  std::string InputEmbeddingsPath() const override {
    return "model.decoder.embed_tokens";
  }

  OPTModel& model() { return *model_; }

 protected:
  // `head_name` is the matrix's name in the layout.
  OPTWithHead(PretrainedConfig config, const OPTConfig& opt, ModelLayout layout,
              const ModuleOptions& options, absl::string_view head_name);

  // What Call() does in a class whose Forward() takes labels.
  template <typename Self>
  absl::StatusOr<ModelOutput> CallWithLabels(Self& self,
                                             const NamedTensors& inputs,
                                             const ForwardOptions& options);

  // The head's logits for each token, [batch, tokens, ..], and what the model
  // below says.
  absl::StatusOr<HeadOutput> TokenLogits(const OPTModelInputs& inputs,
                                         const ForwardOptions& options);
  const OPTConfig& opt_config() const { return model_->opt_config(); }

 private:
  std::shared_ptr<OPTModel> model_;
  std::shared_ptr<Linear> head_;
};

// With logits for the next token at each one, [batch, tokens, vocab_size], and
// with labels [batch, tokens], which are the input ids themselves (shifted
// within), -100 for none, the loss.
//
//   auto output = (*model)->Forward({{.input_ids = ids}, .labels = ids});
//
// Matches: transformers 4.34 modeling_opt.py `OPTForCausalLM`.
class OPTForCausalLM : public OPTWithHead, public Loadable<OPTForCausalLM> {
 public:
  OPTForCausalLM(PretrainedConfig config, const OPTConfig& opt,
                 ModelLayout layout, const ModuleOptions& options);
  static const ModelClass& Class();

  absl::StatusOr<HeadOutput> Forward(const OPTHeadInputs& inputs,
                                     const ForwardOptions& options = {});
  absl::StatusOr<ModelOutput> Call(const NamedTensors& inputs,
                                   const ForwardOptions& options = {}) override;
  std::vector<std::string> GenerationInputs() const override {
    return {"inputs_embeds"};
  }
  std::string OutputEmbeddingsPath() const override { return "lm_head"; }
};

// With logits of a class for each row, [batch, num_labels], from its last token
// before padding; without a pad_token_id, from its last token. With labels,
// [batch] or [batch, num_labels], the loss of the config's problem_type.
// Matches: transformers 4.34 modeling_opt.py `OPTForSequenceClassification`.
// Differs: a problem_type that follows from labels is not remembered.
class OPTForSequenceClassification
    : public OPTWithHead,
      public Loadable<OPTForSequenceClassification> {
 public:
  OPTForSequenceClassification(PretrainedConfig config, const OPTConfig& opt,
                               ModelLayout layout,
                               const ModuleOptions& options);
  static const ModelClass& Class();

  absl::StatusOr<HeadOutput> Forward(const OPTHeadInputs& inputs,
                                     const ForwardOptions& options = {});
  absl::StatusOr<ModelOutput> Call(const NamedTensors& inputs,
                                   const ForwardOptions& options = {}) override;
};

// Where in a text an answer starts, and where it ends.
// Matches: transformers 4.34 modeling_opt.py `OPTForQuestionAnswering`.
class OPTForQuestionAnswering : public OPTWithHead,
                                public Loadable<OPTForQuestionAnswering> {
 public:
  OPTForQuestionAnswering(PretrainedConfig config, const OPTConfig& opt,
                          ModelLayout layout, const ModuleOptions& options);
  static const ModelClass& Class();

  absl::StatusOr<QuestionAnsweringOutput> Forward(
      const OPTForQuestionAnsweringInputs& inputs,
      const ForwardOptions& options = {});
  absl::StatusOr<ModelOutput> Call(const NamedTensors& inputs,
                                   const ForwardOptions& options = {}) override;
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_OPT_OPT_MODEL_H_
