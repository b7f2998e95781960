#ifndef PRETRAINED_MODELING_BERT_BERT_TOKEN_HEADS_H_
#define PRETRAINED_MODELING_BERT_BERT_TOKEN_HEADS_H_

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
#include "modeling/question_answering_output.h"

namespace pretrained {

// BERT's classes that say something of each token, and what its kin's have in
// common with them, which is all. Shapes: batch b, tokens s.

class BertLikeForTokenClassification : public BertHeadModel {
 public:
  absl::StatusOr<HeadOutput> Forward(const BertHeadInputs& inputs,
                                     const ForwardOptions& options = {});
  absl::StatusOr<ModelOutput> Call(const NamedTensors& inputs,
                                   const ForwardOptions& options = {}) override;

 protected:
  BertLikeForTokenClassification(PretrainedConfig config,
                                 const BertConfig& bert, ModelLayout layout,
                                 const ModuleOptions& options);

 private:
  std::shared_ptr<Dropout> dropout_;
  std::shared_ptr<Linear> classifier_;
};

class BertLikeForQuestionAnswering : public BertHeadModel {
 public:
  absl::StatusOr<QuestionAnsweringOutput> Forward(
      const BertForQuestionAnsweringInputs& inputs,
      const ForwardOptions& options = {});
  absl::StatusOr<ModelOutput> Call(const NamedTensors& inputs,
                                   const ForwardOptions& options = {}) override;

 protected:
  BertLikeForQuestionAnswering(PretrainedConfig config, const BertConfig& bert,
                               ModelLayout layout,
                               const ModuleOptions& options);

 private:
  std::shared_ptr<Linear> qa_outputs_;
};

// Classifies tokens: logits [b, s, num_labels]. Labels: [b, s], -100 for none.
// Matches: transformers 4.34 modeling_bert.py `BertForTokenClassification`.
class BertForTokenClassification : public BertLikeForTokenClassification,
                                   public Loadable<BertForTokenClassification> {
 public:
  BertForTokenClassification(PretrainedConfig config, const BertConfig& bert,
                             ModelLayout layout, const ModuleOptions& options)
      : BertLikeForTokenClassification(std::move(config), bert,
                                       std::move(layout), options) {}
  static const ModelClass& Class();
};

// Where in a text an answer starts, and where it ends. The config's num_labels
// must be 2, which is checked when it is called.
// Matches: transformers 4.34 modeling_bert.py `BertForQuestionAnswering`.
class BertForQuestionAnswering : public BertLikeForQuestionAnswering,
                                 public Loadable<BertForQuestionAnswering> {
 public:
  BertForQuestionAnswering(PretrainedConfig config, const BertConfig& bert,
                           ModelLayout layout, const ModuleOptions& options)
      : BertLikeForQuestionAnswering(std::move(config), bert, std::move(layout),
                                     options) {}
  static const ModelClass& Class();
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_BERT_BERT_TOKEN_HEADS_H_
