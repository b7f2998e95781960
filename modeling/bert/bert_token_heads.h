#ifndef PRETRAINED_MODELING_BERT_BERT_TOKEN_HEADS_H_
#define PRETRAINED_MODELING_BERT_BERT_TOKEN_HEADS_H_

#include <memory>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "modeling/bert/bert_config.h"
#include "modeling/bert/bert_head_model.h"
#include "modeling/bert/bert_inputs.h"
#include "modeling/from_pretrained.h"
#include "modeling/layers.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/question_answering_output.h"

namespace pretrained {

// BERT's classes that say something of each token. Shapes: batch b, tokens s.

// Classifies tokens: logits [b, s, num_labels]. Labels: [b, s], -100 for none.
// Matches: transformers 4.34 modeling_bert.py `BertForTokenClassification`.
class BertForTokenClassification : public BertHeadModel,
                                   public Loadable<BertForTokenClassification> {
 public:
  BertForTokenClassification(PretrainedConfig config, const BertConfig& bert,
                             ModelLayout layout, const ModuleOptions& options);
  static const ModelClass& Class();

  absl::StatusOr<HeadOutput> Forward(const BertHeadInputs& inputs,
                                     const ForwardOptions& options = {});
  absl::StatusOr<ModelOutput> Call(const NamedTensors& inputs,
                                   const ForwardOptions& options = {}) override;

 private:
  std::shared_ptr<Dropout> dropout_;
  std::shared_ptr<Linear> classifier_;
};

// Where in a text an answer starts, and where it ends. The config's num_labels
// must be 2, which is checked when it is called.
// Matches: transformers 4.34 modeling_bert.py `BertForQuestionAnswering`.
class BertForQuestionAnswering : public BertHeadModel,
                                 public Loadable<BertForQuestionAnswering> {
 public:
  BertForQuestionAnswering(PretrainedConfig config, const BertConfig& bert,
                           ModelLayout layout, const ModuleOptions& options);
  static const ModelClass& Class();

  absl::StatusOr<QuestionAnsweringOutput> Forward(
      const BertForQuestionAnsweringInputs& inputs,
      const ForwardOptions& options = {});
  absl::StatusOr<ModelOutput> Call(const NamedTensors& inputs,
                                   const ForwardOptions& options = {}) override;

 private:
  std::shared_ptr<Linear> qa_outputs_;
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_BERT_BERT_TOKEN_HEADS_H_
