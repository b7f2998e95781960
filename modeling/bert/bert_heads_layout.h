#ifndef PRETRAINED_MODELING_BERT_BERT_HEADS_LAYOUT_H_
#define PRETRAINED_MODELING_BERT_BERT_HEADS_LAYOUT_H_

#include "absl/status/statusor.h"
#include "modeling/bert/bert_config.h"
#include "modeling/model_layout.h"
#include "modeling/pretrained_config.h"

namespace pretrained {

// The layouts of BERT's classes with a head: BertModel as the child "bert",
// then the head's modules, as transformers 4.34 modeling_bert.py registers
// them, in its order and under its names. Linking this target registers them.
//
// Language models tie their last matrix to the word embeddings where the config
// says so (`tie_word_embeddings`), and its bias to "cls.predictions.bias"
// always.

absl::StatusOr<ModelLayout> BertForPreTrainingLayout(
    const PretrainedConfig& config, const BertConfig& bert);
absl::StatusOr<ModelLayout> BertLMHeadModelLayout(
    const PretrainedConfig& config, const BertConfig& bert);
absl::StatusOr<ModelLayout> BertForMaskedLMLayout(
    const PretrainedConfig& config, const BertConfig& bert);
absl::StatusOr<ModelLayout> BertForNextSentencePredictionLayout(
    const PretrainedConfig& config, const BertConfig& bert);
absl::StatusOr<ModelLayout> BertForSequenceClassificationLayout(
    const PretrainedConfig& config, const BertConfig& bert);
absl::StatusOr<ModelLayout> BertForMultipleChoiceLayout(
    const PretrainedConfig& config, const BertConfig& bert);
absl::StatusOr<ModelLayout> BertForTokenClassificationLayout(
    const PretrainedConfig& config, const BertConfig& bert);
absl::StatusOr<ModelLayout> BertForQuestionAnsweringLayout(
    const PretrainedConfig& config, const BertConfig& bert);

const LayoutClass& BertForPreTrainingLayoutClass();
const LayoutClass& BertLMHeadModelLayoutClass();
const LayoutClass& BertForMaskedLMLayoutClass();
const LayoutClass& BertForNextSentencePredictionLayoutClass();
const LayoutClass& BertForSequenceClassificationLayoutClass();
const LayoutClass& BertForMultipleChoiceLayoutClass();
const LayoutClass& BertForTokenClassificationLayoutClass();
const LayoutClass& BertForQuestionAnsweringLayoutClass();

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_BERT_BERT_HEADS_LAYOUT_H_
