#ifndef PRETRAINED_MODELING_LLAMA_LLAMA_LAYOUT_H_
#define PRETRAINED_MODELING_LLAMA_LLAMA_LAYOUT_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "modeling/llama/llama_config.h"
#include "modeling/model_layout.h"
#include "modeling/pretrained_config.h"

namespace pretrained {

// The layouts of LLaMA's classes: modules, parameters and buffers as
// transformers 4.34 modeling_llama.py registers them, in its order and under
// its names.

ModelLayout LlamaModelLayout(const LlamaConfig& config);

// Its lm_head is tied to the embeddings only where `config` says so
// (tie_word_embeddings).
absl::StatusOr<ModelLayout> LlamaForCausalLMLayout(
    const PretrainedConfig& config, const LlamaConfig& llama);

ModelLayout LlamaForSequenceClassificationLayout(const LlamaConfig& config,
                                                 int64_t num_labels);

// For the registry; linking this target registers them.
const LayoutClass& LlamaModelLayoutClass();
const LayoutClass& LlamaForCausalLMLayoutClass();
const LayoutClass& LlamaForSequenceClassificationLayoutClass();

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_LLAMA_LLAMA_LAYOUT_H_
