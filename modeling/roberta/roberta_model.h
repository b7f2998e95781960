#ifndef PRETRAINED_MODELING_ROBERTA_ROBERTA_MODEL_H_
#define PRETRAINED_MODELING_ROBERTA_ROBERTA_MODEL_H_

#include <memory>
#include <string>

#include "ATen/core/Tensor.h"
#include "modeling/bert/bert_lm_heads.h"
#include "modeling/bert/bert_model.h"
#include "modeling/bert/bert_sequence_heads.h"
#include "modeling/bert/bert_token_heads.h"
#include "modeling/from_pretrained.h"
#include "modeling/model_layout.h"
#include "modeling/module.h"
#include "modeling/pretrained_config.h"
#include "modeling/roberta/roberta_config.h"

namespace pretrained {

// RoBERTa: BERT's encoder, or decoder, with positions that pass over padding,
// and heads of its own for words and for classes of sequences. Arguments and
// results are BERT's (bert_inputs.h). Shapes: batch b, tokens s.

class RobertaLMHead;
class RobertaClassificationHead;

// RoBERTa without a head.
//
//   auto model = RobertaModel::FromPretrained("roberta-base");
//   auto output = (*model)->Forward({.input_ids = ids});
//   output->last_hidden_state;   // [batch, tokens, 768]
//
// Where no position_ids are given, tokens count from pad_token_id + 1, so that
// there is room for max_position_embeddings - pad_token_id - 1 of them.
// Matches: transformers 4.34 modeling_roberta.py `RobertaModel`.
// Differs: as BertModel; and without a pad_token_id, relative positions do as
//     they are, where 4.34 raises.
class RobertaModel : public BertLikeModel, public Loadable<RobertaModel> {
 public:
  RobertaModel(PretrainedConfig config, const RobertaConfig& roberta,
               ModelLayout layout, const ModuleOptions& options);
  static const ModelClass& Class();
};

// Predicts each next token, as BertLMHeadModel does.
// Matches: transformers 4.34 modeling_roberta.py `RobertaForCausalLM`.
class RobertaForCausalLM : public BertLikeForCausalLM,
                           public Loadable<RobertaForCausalLM> {
 public:
  RobertaForCausalLM(PretrainedConfig config, const RobertaConfig& roberta,
                     ModelLayout layout, const ModuleOptions& options);
  static const ModelClass& Class();

  std::string OutputEmbeddingsPath() const override {
    return "lm_head.decoder";
  }

 protected:
  at::Tensor Scores(const at::Tensor& states) override;

 private:
  std::shared_ptr<RobertaLMHead> lm_head_;
};

// Predicts the words that <mask> hides. Labels: [b, s].
// Matches: transformers 4.34 modeling_roberta.py `RobertaForMaskedLM`.
class RobertaForMaskedLM : public BertLikeForMaskedLM,
                           public Loadable<RobertaForMaskedLM> {
 public:
  RobertaForMaskedLM(PretrainedConfig config, const RobertaConfig& roberta,
                     ModelLayout layout, const ModuleOptions& options);
  static const ModelClass& Class();

  std::string OutputEmbeddingsPath() const override {
    return "lm_head.decoder";
  }

 protected:
  at::Tensor Scores(const at::Tensor& states) override;

 private:
  std::shared_ptr<RobertaLMHead> lm_head_;
};

// Classifies sequences by their first token, which is not pooled: logits
// [b, num_labels]. Labels as BertForSequenceClassification's.
// Matches: transformers 4.34 modeling_roberta.py
//     `RobertaForSequenceClassification`.
// Differs: a problem_type that follows from labels is not remembered.
class RobertaForSequenceClassification
    : public BertLikeForSequenceClassification,
      public Loadable<RobertaForSequenceClassification> {
 public:
  RobertaForSequenceClassification(PretrainedConfig config,
                                   const RobertaConfig& roberta,
                                   ModelLayout layout,
                                   const ModuleOptions& options);
  static const ModelClass& Class();

 protected:
  at::Tensor Logits(const BertModelOutput& base) override;

 private:
  std::shared_ptr<RobertaClassificationHead> classifier_;
};

// Chooses among several sequences, as BertForMultipleChoice does.
// Matches: transformers 4.34 modeling_roberta.py `RobertaForMultipleChoice`.
class RobertaForMultipleChoice : public BertLikeForMultipleChoice,
                                 public Loadable<RobertaForMultipleChoice> {
 public:
  RobertaForMultipleChoice(PretrainedConfig config,
                           const RobertaConfig& roberta, ModelLayout layout,
                           const ModuleOptions& options);
  static const ModelClass& Class();
};

// Classifies tokens, as BertForTokenClassification does.
// Matches: transformers 4.34 modeling_roberta.py
//     `RobertaForTokenClassification`.
class RobertaForTokenClassification
    : public BertLikeForTokenClassification,
      public Loadable<RobertaForTokenClassification> {
 public:
  RobertaForTokenClassification(PretrainedConfig config,
                                const RobertaConfig& roberta,
                                ModelLayout layout,
                                const ModuleOptions& options);
  static const ModelClass& Class();
};

// Finds answers in a text, as BertForQuestionAnswering does.
// Matches: transformers 4.34 modeling_roberta.py `RobertaForQuestionAnswering`.
class RobertaForQuestionAnswering
    : public BertLikeForQuestionAnswering,
      public Loadable<RobertaForQuestionAnswering> {
 public:
  RobertaForQuestionAnswering(PretrainedConfig config,
                              const RobertaConfig& roberta, ModelLayout layout,
                              const ModuleOptions& options);
  static const ModelClass& Class();
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_ROBERTA_ROBERTA_MODEL_H_
