#ifndef PRETRAINED_MODELING_GPT2_GPT2_LAYOUT_H_
#define PRETRAINED_MODELING_GPT2_GPT2_LAYOUT_H_

#include "absl/status/statusor.h"
#include "modeling/gpt2/gpt2_config.h"
#include "modeling/model_layout.h"
#include "modeling/pretrained_config.h"

namespace pretrained {

// The layouts of GPT-2's classes: modules, parameters and buffers as
// transformers 4.34 modeling_gpt2.py registers them, in its order and under its
// names. `config` is what `gpt2` was read from.
absl::StatusOr<ModelLayout> GPT2ModelLayout(const PretrainedConfig& config,
                                            const GPT2Config& gpt2);
absl::StatusOr<ModelLayout> GPT2LMHeadModelLayout(
    const PretrainedConfig& config, const GPT2Config& gpt2);
absl::StatusOr<ModelLayout> GPT2ForSequenceClassificationLayout(
    const PretrainedConfig& config, const GPT2Config& gpt2);

// Each class for the registry; linking this target registers them.
const LayoutClass& GPT2ModelLayoutClass();
const LayoutClass& GPT2LMHeadModelLayoutClass();
const LayoutClass& GPT2ForSequenceClassificationLayoutClass();

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_GPT2_GPT2_LAYOUT_H_
