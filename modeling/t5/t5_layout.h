#ifndef PRETRAINED_MODELING_T5_T5_LAYOUT_H_
#define PRETRAINED_MODELING_T5_T5_LAYOUT_H_

#include "absl/status/statusor.h"
#include "modeling/model_layout.h"
#include "modeling/pretrained_config.h"
#include "modeling/t5/t5_config.h"

namespace pretrained {

// The layouts of T5's classes: modules and parameters as transformers 4.34
// modeling_t5.py registers them, in its order and under its names. `t5` is
// `config`, checked.
//
// The embeddings of both stacks are tied to `shared` always, `lm_head` as
// `tie_word_embeddings` says, and the encoder to the decoder as
// `tie_encoder_decoder` does: kInvalidArgument where it has fewer layers, or
// the class has no decoder.

absl::StatusOr<ModelLayout> T5ModelLayout(const PretrainedConfig& config,
                                          const T5Config& t5);
absl::StatusOr<ModelLayout> T5ForConditionalGenerationLayout(
    const PretrainedConfig& config, const T5Config& t5);
// An encoder alone; or, where the config says is_decoder, a decoder that is
// never given encoder states.
absl::StatusOr<ModelLayout> T5EncoderModelLayout(const PretrainedConfig& config,
                                                 const T5Config& t5);

// For the registry; linking this target registers them.
const LayoutClass& T5ModelLayoutClass();
const LayoutClass& T5ForConditionalGenerationLayoutClass();
const LayoutClass& T5EncoderModelLayoutClass();

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_T5_T5_LAYOUT_H_
