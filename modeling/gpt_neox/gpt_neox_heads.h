#ifndef PRETRAINED_MODELING_GPT_NEOX_GPT_NEOX_HEADS_H_
#define PRETRAINED_MODELING_GPT_NEOX_GPT_NEOX_HEADS_H_

#include <memory>
#include <string>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "modeling/from_pretrained.h"
#include "modeling/gpt_neox/gpt_neox_config.h"
#include "modeling/gpt_neox/gpt_neox_inputs.h"
#include "modeling/gpt_neox/gpt_neox_model.h"
#include "modeling/layers.h"
#include "modeling/model_layout.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/pretrained_config.h"
#include "modeling/pretrained_model.h"
#include "modeling/question_answering_output.h"

namespace pretrained {

// GPT-NeoX with one matrix on top of each token's vector: what its classes with
// a head have in common. Shapes: batch b, tokens s.
class GPTNeoXWithHead : public PretrainedModel {
 public:
  void InitializeTensor(const TensorToInitialize& target) const override;
  std::string InputEmbeddingsPath() const override {
    return "gpt_neox.embed_in";
  }

  GPTNeoXModel& gpt_neox() { return *gpt_neox_; }

 protected:
  // `head_name` is the matrix's name in the layout.
  GPTNeoXWithHead(PretrainedConfig config, const GPTNeoXConfig& neox,
                  ModelLayout layout, const ModuleOptions& options,
                  absl::string_view head_name);

  const GPTNeoXConfig& neox() const { return gpt_neox_->gpt_neox_config(); }

  // The head's logits for each token, [b, s, ..], and what the model below
  // says.
  absl::StatusOr<HeadOutput> TokenLogits(const GPTNeoXModelInputs& inputs,
                                         const ForwardOptions& options);

 private:
  std::shared_ptr<GPTNeoXModel> gpt_neox_;
  std::shared_ptr<Dropout> dropout_;  // Null where the layout has none.
  std::shared_ptr<Linear> head_;
};

// Predicts each next token: logits [b, s, vocab_size]. With labels [b, s],
// which are the input ids themselves (shifted within), -100 for none, the loss.
//
//   auto model = GPTNeoXForCausalLM::FromPretrained("pythia-70m");
//   auto output = (*model)->Forward({{.input_ids = ids}, .labels = ids});
//
// Matches: transformers 4.34 modeling_gpt_neox.py `GPTNeoXForCausalLM`.
class GPTNeoXForCausalLM : public GPTNeoXWithHead,
                           public Loadable<GPTNeoXForCausalLM> {
 public:
  GPTNeoXForCausalLM(PretrainedConfig config, const GPTNeoXConfig& neox,
                     ModelLayout layout, const ModuleOptions& options);
  static const ModelClass& Class();

  absl::StatusOr<HeadOutput> Forward(const GPTNeoXHeadInputs& inputs,
                                     const ForwardOptions& options = {});
  absl::StatusOr<ModelOutput> Call(const NamedTensors& inputs,
                                   const ForwardOptions& options = {}) override;

  std::string OutputEmbeddingsPath() const override { return "embed_out"; }
  std::vector<std::string> GenerationInputs() const override {
    return {"position_ids", "inputs_embeds"};
  }
};

// Classifies sequences by their last token before padding: logits
// [b, num_labels]. The config's pad_token_id says what padding is; without one,
// a sequence at a time. With labels, [b] or [b, num_labels], the loss of the
// config's problem_type.
// Matches: transformers 4.34 `GPTNeoXForSequenceClassification`.
// Differs: a problem_type that follows from labels is not remembered.
class GPTNeoXForSequenceClassification
    : public GPTNeoXWithHead,
      public Loadable<GPTNeoXForSequenceClassification> {
 public:
  GPTNeoXForSequenceClassification(PretrainedConfig config,
                                   const GPTNeoXConfig& neox,
                                   ModelLayout layout,
                                   const ModuleOptions& options);
  static const ModelClass& Class();

  absl::StatusOr<HeadOutput> Forward(const GPTNeoXHeadInputs& inputs,
                                     const ForwardOptions& options = {});
  absl::StatusOr<ModelOutput> Call(const NamedTensors& inputs,
                                   const ForwardOptions& options = {}) override;
};

// Classifies tokens: logits [b, s, num_labels]. Labels: [b, s], -100 for none.
// Matches: transformers 4.34 `GPTNeoXForTokenClassification`: it takes a cache
//     and token_type_ids, puts out no cache, and does not look at the latter.
class GPTNeoXForTokenClassification
    : public GPTNeoXWithHead,
      public Loadable<GPTNeoXForTokenClassification> {
 public:
  GPTNeoXForTokenClassification(PretrainedConfig config,
                                const GPTNeoXConfig& neox, ModelLayout layout,
                                const ModuleOptions& options);
  static const ModelClass& Class();

  absl::StatusOr<HeadOutput> Forward(const GPTNeoXHeadInputs& inputs,
                                     const ForwardOptions& options = {});
  absl::StatusOr<ModelOutput> Call(const NamedTensors& inputs,
                                   const ForwardOptions& options = {}) override;
};

// Where in a text an answer starts, and where it ends; whatever num_labels is.
// Matches: transformers 4.34 `GPTNeoXForQuestionAnswering`: it takes
//     token_type_ids, and does not look at them.
class GPTNeoXForQuestionAnswering
    : public GPTNeoXWithHead,
      public Loadable<GPTNeoXForQuestionAnswering> {
 public:
  GPTNeoXForQuestionAnswering(PretrainedConfig config,
                              const GPTNeoXConfig& neox, ModelLayout layout,
                              const ModuleOptions& options);
  static const ModelClass& Class();

  // Does not read `inputs.past_key_values`.
  absl::StatusOr<QuestionAnsweringOutput> Forward(
      const GPTNeoXForQuestionAnsweringInputs& inputs,
      const ForwardOptions& options = {});
  absl::StatusOr<ModelOutput> Call(const NamedTensors& inputs,
                                   const ForwardOptions& options = {}) override;
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_GPT_NEOX_GPT_NEOX_HEADS_H_
