#ifndef PRETRAINED_MODELING_GPT_NEOX_GPT_NEOX_LAYOUT_H_
#define PRETRAINED_MODELING_GPT_NEOX_GPT_NEOX_LAYOUT_H_

#include "absl/status/statusor.h"
#include "modeling/gpt_neox/gpt_neox_config.h"
#include "modeling/model_layout.h"
#include "modeling/pretrained_config.h"

namespace pretrained {

// The layout of GPTNeoXModel: modules, parameters and buffers as transformers
// 4.34 modeling_gpt_neox.py registers them, in its order and under its names.
// Each layer's rotary_emb.inv_freq is part of the state dict.
ModelLayout GPTNeoXModelLayout(const GPTNeoXConfig& config);

// For the registry; linking this target registers them.
const LayoutClass& GPTNeoXModelLayoutClass();
const LayoutClass& GPTNeoXForCausalLMLayoutClass();
const LayoutClass& GPTNeoXForSequenceClassificationLayoutClass();
const LayoutClass& GPTNeoXForTokenClassificationLayoutClass();
const LayoutClass& GPTNeoXForQuestionAnsweringLayoutClass();

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_GPT_NEOX_GPT_NEOX_LAYOUT_H_
