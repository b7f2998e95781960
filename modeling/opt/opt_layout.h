#ifndef PRETRAINED_MODELING_OPT_OPT_LAYOUT_H_
#define PRETRAINED_MODELING_OPT_OPT_LAYOUT_H_

#include "absl/status/statusor.h"
#include "modeling/model_layout.h"
#include "modeling/opt/opt_config.h"
#include "modeling/pretrained_config.h"

namespace pretrained {

// The layouts of OPT's classes: modules and parameters as transformers 4.34
// modeling_opt.py registers them, in its order and under its names.

absl::StatusOr<ModelLayout> OPTModelLayout(const PretrainedConfig& config,
                                           const OPTConfig& opt);

// Its lm_head is tied to the embeddings unless `config` says otherwise
// (tie_word_embeddings).
absl::StatusOr<ModelLayout> OPTForCausalLMLayout(const PretrainedConfig& config,
                                                 const OPTConfig& opt);

absl::StatusOr<ModelLayout> OPTForSequenceClassificationLayout(
    const PretrainedConfig& config, const OPTConfig& opt);

absl::StatusOr<ModelLayout> OPTForQuestionAnsweringLayout(
    const PretrainedConfig& config, const OPTConfig& opt);

// For the registry; linking this target registers them.
const LayoutClass& OPTModelLayoutClass();
const LayoutClass& OPTForCausalLMLayoutClass();
const LayoutClass& OPTForSequenceClassificationLayoutClass();
const LayoutClass& OPTForQuestionAnsweringLayoutClass();

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_OPT_OPT_LAYOUT_H_
