#ifndef PRETRAINED_MODELING_DISTILBERT_DISTILBERT_LAYOUT_H_
#define PRETRAINED_MODELING_DISTILBERT_DISTILBERT_LAYOUT_H_

#include "modeling/distilbert/distilbert_config.h"
#include "modeling/model_layout.h"

namespace pretrained {

// The layout of DistilBertModel: modules, parameters and buffers as
// transformers 4.34 modeling_distilbert.py registers them, in its order and
// under its names.
ModelLayout DistilBertModelLayout(const DistilBertConfig& config);

// For the registry; linking this target registers them.
const LayoutClass& DistilBertModelLayoutClass();
const LayoutClass& DistilBertForMaskedLMLayoutClass();
const LayoutClass& DistilBertForSequenceClassificationLayoutClass();
const LayoutClass& DistilBertForMultipleChoiceLayoutClass();
const LayoutClass& DistilBertForTokenClassificationLayoutClass();
const LayoutClass& DistilBertForQuestionAnsweringLayoutClass();

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_DISTILBERT_DISTILBERT_LAYOUT_H_
