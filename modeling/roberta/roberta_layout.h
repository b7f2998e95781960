#ifndef PRETRAINED_MODELING_ROBERTA_ROBERTA_LAYOUT_H_
#define PRETRAINED_MODELING_ROBERTA_ROBERTA_LAYOUT_H_

#include "modeling/bert/bert_layout.h"
#include "modeling/model_layout.h"
#include "modeling/roberta/roberta_config.h"

namespace pretrained {

// The layout of RobertaModel: BERT's modules under names of its own, as
// transformers 4.34 modeling_roberta.py registers them.
ModelLayout RobertaModelLayout(const RobertaConfig& config,
                               const BertModelArguments& arguments = {});

// For the registry; linking this target registers them.
const LayoutClass& RobertaModelLayoutClass();
const LayoutClass& RobertaForCausalLMLayoutClass();
const LayoutClass& RobertaForMaskedLMLayoutClass();
const LayoutClass& RobertaForSequenceClassificationLayoutClass();
const LayoutClass& RobertaForMultipleChoiceLayoutClass();
const LayoutClass& RobertaForTokenClassificationLayoutClass();
const LayoutClass& RobertaForQuestionAnsweringLayoutClass();

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_ROBERTA_ROBERTA_LAYOUT_H_
