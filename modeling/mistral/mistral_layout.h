#ifndef PRETRAINED_MODELING_MISTRAL_MISTRAL_LAYOUT_H_
#define PRETRAINED_MODELING_MISTRAL_MISTRAL_LAYOUT_H_

#include "modeling/model_layout.h"

namespace pretrained {

// The layouts of Mistral's classes: LLaMA's (llama_like_layout.h), under the
// names of transformers 4.34 modeling_mistral.py. For the registry; linking
// this target registers them.
const LayoutClass& MistralModelLayoutClass();
const LayoutClass& MistralForCausalLMLayoutClass();
const LayoutClass& MistralForSequenceClassificationLayoutClass();

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_MISTRAL_MISTRAL_LAYOUT_H_
