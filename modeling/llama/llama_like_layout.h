#ifndef PRETRAINED_MODELING_LLAMA_LLAMA_LIKE_LAYOUT_H_
#define PRETRAINED_MODELING_LLAMA_LLAMA_LIKE_LAYOUT_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "modeling/llama/llama_config.h"
#include "modeling/model_layout.h"
#include "modeling/pretrained_config.h"

namespace pretrained {

// The layouts of the classes of LLaMA, and of families that are built as LLaMA
// is: modules, parameters and buffers as transformers 4.34 modeling_llama.py
// registers them, in its order and under its names. Linking this registers
// nothing.
//
//   family  what names of classes begin with: "Llama" makes LlamaModel,
//           LlamaDecoderLayer, ..

ModelLayout LlamaLikeModelLayout(absl::string_view family,
                                 const LlamaConfig& config);

// Its lm_head is tied to the embeddings only where `config` says so
// (tie_word_embeddings).
absl::StatusOr<ModelLayout> LlamaLikeForCausalLMLayout(
    absl::string_view family, const PretrainedConfig& config,
    const LlamaConfig& llama);

ModelLayout LlamaLikeForSequenceClassificationLayout(absl::string_view family,
                                                     const LlamaConfig& config,
                                                     int64_t num_labels);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_LLAMA_LLAMA_LIKE_LAYOUT_H_
