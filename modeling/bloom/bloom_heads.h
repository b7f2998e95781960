#ifndef PRETRAINED_MODELING_BLOOM_BLOOM_HEADS_H_
#define PRETRAINED_MODELING_BLOOM_BLOOM_HEADS_H_

#include <memory>
#include <string>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "modeling/bloom/bloom_config.h"
#include "modeling/bloom/bloom_inputs.h"
#include "modeling/bloom/bloom_model.h"
#include "modeling/from_pretrained.h"
#include "modeling/layers.h"
#include "modeling/model_layout.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/pretrained_config.h"
#include "modeling/pretrained_model.h"
#include "modeling/question_answering_output.h"

namespace pretrained {

// BLOOM with one matrix on top of each token's vector: what its classes with
// a head have in common. Shapes: batch b, tokens s.
class BloomWithHead : public PretrainedModel {
 public:
  void InitializeTensor(const TensorToInitialize& target) const override;
  std::string InputEmbeddingsPath() const override {
    return "transformer.word_embeddings";
  }

  BloomModel& transformer() { return *transformer_; }

 protected:
  // `head_name` is the matrix's name in the layout.
  BloomWithHead(PretrainedConfig config, const BloomConfig& bloom,
                ModelLayout layout, const ModuleOptions& options,
                absl::string_view head_name);

  const BloomConfig& bloom() const { return transformer_->bloom_config(); }

  // The head's logits for each token, [b, s, ..], and what the model below
  // says.
  absl::StatusOr<HeadOutput> TokenLogits(const BloomModelInputs& inputs,
                                         const ForwardOptions& options);

 private:
  std::shared_ptr<BloomModel> transformer_;
  std::shared_ptr<Dropout> dropout_;  // Null where the layout has none.
  std::shared_ptr<Linear> head_;
};

// Predicts each next token: logits [b, s, vocab_size]. With labels [b, s],
// which are the input ids themselves (shifted within), -100 for none, the loss.
//
//   auto model = BloomForCausalLM::FromPretrained("bigscience/bloom-560m");
//   auto output = (*model)->Forward({{.input_ids = ids}, .labels = ids});
//
// Matches: transformers 4.34 modeling_bloom.py `BloomForCausalLM`.
class BloomForCausalLM : public BloomWithHead,
                         public Loadable<BloomForCausalLM> {
 public:
  BloomForCausalLM(PretrainedConfig config, const BloomConfig& bloom,
                   ModelLayout layout, const ModuleOptions& options);
  static const ModelClass& Class();

  absl::StatusOr<HeadOutput> Forward(const BloomHeadInputs& inputs,
                                     const ForwardOptions& options = {});
  absl::StatusOr<ModelOutput> Call(const NamedTensors& inputs,
                                   const ForwardOptions& options = {}) override;

  std::vector<std::string> GenerationInputs() const override {
    return {"inputs_embeds"};
  }
  std::string OutputEmbeddingsPath() const override { return "lm_head"; }
};

// Classifies sequences by their last token before padding: logits
// [b, num_labels]. The config's pad_token_id says what padding is; without one,
// a sequence at a time. With labels, [b] or [b, num_labels], the loss of the
// config's problem_type.
// Matches: transformers 4.34 `BloomForSequenceClassification`.
// Differs: a problem_type that follows from labels is not remembered.
class BloomForSequenceClassification
    : public BloomWithHead,
      public Loadable<BloomForSequenceClassification> {
 public:
  BloomForSequenceClassification(PretrainedConfig config,
                                 const BloomConfig& bloom, ModelLayout layout,
                                 const ModuleOptions& options);
  static const ModelClass& Class();

  absl::StatusOr<HeadOutput> Forward(const BloomHeadInputs& inputs,
                                     const ForwardOptions& options = {});
  absl::StatusOr<ModelOutput> Call(const NamedTensors& inputs,
                                   const ForwardOptions& options = {}) override;
};

// Classifies tokens: logits [b, s, num_labels]. Labels: [b, s], -100 for none.
// Matches: transformers 4.34 `BloomForTokenClassification`: it takes a cache,
//     and puts out none.
class BloomForTokenClassification
    : public BloomWithHead,
      public Loadable<BloomForTokenClassification> {
 public:
  BloomForTokenClassification(PretrainedConfig config, const BloomConfig& bloom,
                              ModelLayout layout, const ModuleOptions& options);
  static const ModelClass& Class();

  absl::StatusOr<HeadOutput> Forward(const BloomHeadInputs& inputs,
                                     const ForwardOptions& options = {});
  absl::StatusOr<ModelOutput> Call(const NamedTensors& inputs,
                                   const ForwardOptions& options = {}) override;
};

// Where in a text an answer starts, and where it ends; whatever num_labels is.
// Matches: transformers 4.34 `BloomForQuestionAnswering`.
class BloomForQuestionAnswering : public BloomWithHead,
                                  public Loadable<BloomForQuestionAnswering> {
 public:
  BloomForQuestionAnswering(PretrainedConfig config, const BloomConfig& bloom,
                            ModelLayout layout, const ModuleOptions& options);
  static const ModelClass& Class();

  // Does not read `inputs.past_key_values`.
  absl::StatusOr<QuestionAnsweringOutput> Forward(
      const BloomForQuestionAnsweringInputs& inputs,
      const ForwardOptions& options = {});
  absl::StatusOr<ModelOutput> Call(const NamedTensors& inputs,
                                   const ForwardOptions& options = {}) override;
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_BLOOM_BLOOM_HEADS_H_
