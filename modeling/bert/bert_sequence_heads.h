#ifndef PRETRAINED_MODELING_BERT_BERT_SEQUENCE_HEADS_H_
#define PRETRAINED_MODELING_BERT_BERT_SEQUENCE_HEADS_H_

#include <memory>
#include <utility>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "modeling/bert/bert_config.h"
#include "modeling/bert/bert_head_model.h"
#include "modeling/bert/bert_inputs.h"
#include "modeling/from_pretrained.h"
#include "modeling/layers.h"
#include "modeling/model_output.h"
#include "modeling/module.h"

namespace pretrained {

// BERT's classes that say one thing of each sequence, by its pooled first
// token, and what its kin's have in common with them. Shapes: batch b, tokens
// s.

// Whether the second sentence follows the first: logits [b, 2], of 0 (it does)
// and 1. Labels: [b]; the peer's older name for them, `next_sentence_label`, is
// taken too.
// Matches: transformers 4.34 modeling_bert.py `BertForNextSentencePrediction`.
// Differs: refuses names that it does not know; 4.34 overlooks them.
class BertForNextSentencePrediction
    : public BertHeadModel,
      public Loadable<BertForNextSentencePrediction> {
 public:
  BertForNextSentencePrediction(PretrainedConfig config, const BertConfig& bert,
                                ModelLayout layout,
                                const ModuleOptions& options);
  static const ModelClass& Class();

  absl::StatusOr<HeadOutput> Forward(const BertHeadInputs& inputs,
                                     const ForwardOptions& options = {});
  absl::StatusOr<ModelOutput> Call(const NamedTensors& inputs,
                                   const ForwardOptions& options = {}) override;

 private:
  std::shared_ptr<Linear> seq_relationship_;
};

// What classifies sequences, as BertForSequenceClassification says. A class
// derives from it, and makes the head.
class BertLikeForSequenceClassification : public BertHeadModel {
 public:
  absl::StatusOr<HeadOutput> Forward(const BertHeadInputs& inputs,
                                     const ForwardOptions& options = {});
  absl::StatusOr<ModelOutput> Call(const NamedTensors& inputs,
                                   const ForwardOptions& options = {}) override;

 protected:
  using BertHeadModel::BertHeadModel;

  // The head: what the model below says to logits [b, num_labels].
  virtual at::Tensor Logits(const BertModelOutput& base) = 0;
};

// What chooses among sequences, as BertForMultipleChoice says.
class BertLikeForMultipleChoice : public BertHeadModel {
 public:
  absl::StatusOr<HeadOutput> Forward(const BertHeadInputs& inputs,
                                     const ForwardOptions& options = {});
  absl::StatusOr<ModelOutput> Call(const NamedTensors& inputs,
                                   const ForwardOptions& options = {}) override;

 protected:
  // `dropout_probability`: before the classifier, when training.
  BertLikeForMultipleChoice(PretrainedConfig config, const BertConfig& bert,
                            ModelLayout layout, const ModuleOptions& options,
                            double dropout_probability);

 private:
  std::shared_ptr<Dropout> dropout_;
  std::shared_ptr<Linear> classifier_;
};

// Classifies sequences, or gives them numbers: logits [b, num_labels]. Labels,
// [b] or [b, num_labels], as the config's problem_type wants (losses.h).
// Matches: transformers 4.34 modeling_bert.py `BertForSequenceClassification`.
// Differs: a problem_type that follows from labels is not remembered.
class BertForSequenceClassification
    : public BertLikeForSequenceClassification,
      public Loadable<BertForSequenceClassification> {
 public:
  BertForSequenceClassification(PretrainedConfig config, const BertConfig& bert,
                                ModelLayout layout,
                                const ModuleOptions& options);
  static const ModelClass& Class();

 protected:
  at::Tensor Logits(const BertModelOutput& base) override;

 private:
  std::shared_ptr<Dropout> dropout_;
  std::shared_ptr<Linear> classifier_;
};

// Chooses among several sequences: logits [b, choices]. Its inputs have one
// dimension more than BertModel's, after the batch: input_ids [b, choices, s],
// inputs_embeds [b, choices, s, hidden size]. Labels: [b].
// Matches: transformers 4.34 modeling_bert.py `BertForMultipleChoice`.
class BertForMultipleChoice : public BertLikeForMultipleChoice,
                              public Loadable<BertForMultipleChoice> {
 public:
  BertForMultipleChoice(PretrainedConfig config, const BertConfig& bert,
                        ModelLayout layout, const ModuleOptions& options)
      : BertLikeForMultipleChoice(std::move(config), bert, std::move(layout),
                                  options, bert.classifier_dropout_prob()) {}
  static const ModelClass& Class();
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_BERT_BERT_SEQUENCE_HEADS_H_
