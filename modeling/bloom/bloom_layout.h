#ifndef PRETRAINED_MODELING_BLOOM_BLOOM_LAYOUT_H_
#define PRETRAINED_MODELING_BLOOM_BLOOM_LAYOUT_H_

#include "absl/status/statusor.h"
#include "modeling/bloom/bloom_config.h"
#include "modeling/model_layout.h"
#include "modeling/pretrained_config.h"

namespace pretrained {

// The layout of BloomModel: modules, parameters and buffers as transformers
// 4.34 modeling_bloom.py registers them, in its order and under its names.
ModelLayout BloomModelLayout(const BloomConfig& config);

// For the registry; linking this target registers them.
const LayoutClass& BloomModelLayoutClass();
const LayoutClass& BloomForCausalLMLayoutClass();
const LayoutClass& BloomForSequenceClassificationLayoutClass();
const LayoutClass& BloomForTokenClassificationLayoutClass();
const LayoutClass& BloomForQuestionAnsweringLayoutClass();

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_BLOOM_BLOOM_LAYOUT_H_
