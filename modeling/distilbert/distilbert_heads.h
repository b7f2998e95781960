#ifndef PRETRAINED_MODELING_DISTILBERT_DISTILBERT_HEADS_H_
#define PRETRAINED_MODELING_DISTILBERT_DISTILBERT_HEADS_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "modeling/distilbert/distilbert_config.h"
#include "modeling/distilbert/distilbert_inputs.h"
#include "modeling/distilbert/distilbert_model.h"
#include "modeling/from_pretrained.h"
#include "modeling/layers.h"
#include "modeling/model_layout.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/pretrained_config.h"
#include "modeling/pretrained_model.h"
#include "modeling/question_answering_output.h"

namespace pretrained {

// DistilBERT's classes with a head. Shapes: batch b, tokens s.

// DistilBertModel with something on top: what they have in common.
class DistilBertHeadModel : public PretrainedModel {
 public:
  // As DistilBertModel's.
  void InitializeTensor(const TensorToInitialize& target) const override;

  std::string InputEmbeddingsPath() const override {
    return "distilbert.embeddings.word_embeddings";
  }
  std::string PositionEmbeddingsPath() const override {
    return "distilbert.embeddings.position_embeddings";
  }

  const DistilBertConfig& distilbert_config() const {
    return distilbert_->distilbert_config();
  }

 protected:
  DistilBertHeadModel(PretrainedConfig config, const DistilBertConfig& distil,
                      ModelLayout layout, const ModuleOptions& options);

  DistilBertModel& distilbert() { return *distilbert_; }

 private:
  std::shared_ptr<DistilBertModel> distilbert_;
};

class DistilBertClassifier;

// Predicts the words that [MASK] hides: logits [b, s, vocab_size]. Labels:
// [b, s], -100 for none.
// Matches: transformers 4.34 modeling_distilbert.py `DistilBertForMaskedLM`.
class DistilBertForMaskedLM : public DistilBertHeadModel,
                              public Loadable<DistilBertForMaskedLM> {
 public:
  DistilBertForMaskedLM(PretrainedConfig config, const DistilBertConfig& distil,
                        ModelLayout layout, const ModuleOptions& options);
  static const ModelClass& Class();

  absl::StatusOr<HeadOutput> Forward(const DistilBertHeadInputs& inputs,
                                     const ForwardOptions& options = {});
  absl::StatusOr<ModelOutput> Call(const NamedTensors& inputs,
                                   const ForwardOptions& options = {}) override;

  std::string OutputEmbeddingsPath() const override {
    return "vocab_projector";
  }

 private:
  std::shared_ptr<Activation> activation_;
  std::shared_ptr<Linear> vocab_transform_;
  std::shared_ptr<LayerNorm> vocab_layer_norm_;
  std::shared_ptr<Linear> vocab_projector_;
};

// Classifies sequences by their first token, or gives them numbers: logits
// [b, num_labels]. Labels, [b] or [b, num_labels], as the config's problem_type
// wants (losses.h).
// Matches: transformers 4.34 modeling_distilbert.py
//     `DistilBertForSequenceClassification`.
// Differs: a problem_type that follows from labels is not remembered.
class DistilBertForSequenceClassification
    : public DistilBertHeadModel,
      public Loadable<DistilBertForSequenceClassification> {
 public:
  DistilBertForSequenceClassification(PretrainedConfig config,
                                      const DistilBertConfig& distil,
                                      ModelLayout layout,
                                      const ModuleOptions& options);
  static const ModelClass& Class();

  absl::StatusOr<HeadOutput> Forward(const DistilBertHeadInputs& inputs,
                                     const ForwardOptions& options = {});
  absl::StatusOr<ModelOutput> Call(const NamedTensors& inputs,
                                   const ForwardOptions& options = {}) override;

 private:
  std::shared_ptr<DistilBertClassifier> classifier_;
};

// Chooses among several sequences: logits [b, choices]. Its inputs have one
// dimension more than DistilBertModel's, after the batch: input_ids
// [b, choices, s], inputs_embeds [b, choices, s, dim]. Labels: [b].
// Matches: transformers 4.34 modeling_distilbert.py
//     `DistilBertForMultipleChoice`.
class DistilBertForMultipleChoice
    : public DistilBertHeadModel,
      public Loadable<DistilBertForMultipleChoice> {
 public:
  DistilBertForMultipleChoice(PretrainedConfig config,
                              const DistilBertConfig& distil,
                              ModelLayout layout, const ModuleOptions& options);
  static const ModelClass& Class();

  absl::StatusOr<HeadOutput> Forward(const DistilBertHeadInputs& inputs,
                                     const ForwardOptions& options = {});
  absl::StatusOr<ModelOutput> Call(const NamedTensors& inputs,
                                   const ForwardOptions& options = {}) override;

 private:
  std::shared_ptr<DistilBertClassifier> classifier_;
};

// Classifies tokens: logits [b, s, num_labels]. Labels: [b, s], -100 for none.
// Matches: transformers 4.34 modeling_distilbert.py
//     `DistilBertForTokenClassification`.
class DistilBertForTokenClassification
    : public DistilBertHeadModel,
      public Loadable<DistilBertForTokenClassification> {
 public:
  DistilBertForTokenClassification(PretrainedConfig config,
                                   const DistilBertConfig& distil,
                                   ModelLayout layout,
                                   const ModuleOptions& options);
  static const ModelClass& Class();

  absl::StatusOr<HeadOutput> Forward(const DistilBertHeadInputs& inputs,
                                     const ForwardOptions& options = {});
  absl::StatusOr<ModelOutput> Call(const NamedTensors& inputs,
                                   const ForwardOptions& options = {}) override;

 private:
  std::shared_ptr<Dropout> dropout_;
  std::shared_ptr<Linear> classifier_;
};

// Where in a text an answer starts, and where it ends. The config's num_labels
// must be 2, or there is no such model.
// Matches: transformers 4.34 modeling_distilbert.py
//     `DistilBertForQuestionAnswering`.
class DistilBertForQuestionAnswering
    : public DistilBertHeadModel,
      public Loadable<DistilBertForQuestionAnswering> {
 public:
  DistilBertForQuestionAnswering(PretrainedConfig config,
                                 const DistilBertConfig& distil,
                                 ModelLayout layout,
                                 const ModuleOptions& options);
  static const ModelClass& Class();

  absl::StatusOr<QuestionAnsweringOutput> Forward(
      const DistilBertForQuestionAnsweringInputs& inputs,
      const ForwardOptions& options = {});
  absl::StatusOr<ModelOutput> Call(const NamedTensors& inputs,
                                   const ForwardOptions& options = {}) override;

 private:
  std::shared_ptr<Dropout> dropout_;
  std::shared_ptr<Linear> qa_outputs_;
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_DISTILBERT_DISTILBERT_HEADS_H_
