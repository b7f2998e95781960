#ifndef PRETRAINED_GENERATION_PROMPT_H_
#define PRETRAINED_GENERATION_PROMPT_H_

#include <cstdint>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "modeling/generation_config.h"
#include "modeling/model_output.h"
#include "modeling/pretrained_model.h"

namespace pretrained {

// What a generation starts from, brought into form. Rows r, tokens t.
struct Prompt {
  at::Tensor input_ids;  // [r, t] of int64; the decoder's where there are two.
  // As GenerationStep's: undefined where no token is padding.
  at::Tensor attention_mask;
  BaseModelOutput encoder_outputs;
  NamedTensors others;  // As GenerationStep's, for all of the tokens.
  // What the encoder read, for processors that look at it; else undefined.
  at::Tensor encoder_input_ids;
};

// Makes a prompt of what a caller gives, by name:
//   input_ids            [r, t], or of the encoder [r, tokens]; without it (and
//                        without inputs_embeds) bos_token_id, for as many rows
//                        as another input has
//   attention_mask       of those; without it, what is pad_token_id is padding,
//                        unless that ends texts, too
//   decoder_input_ids    [r, t]; the decoder starts with decoder_start_token_id
//                        (or bos_token_id), which is put before them unless
//                        they begin with it
//   encoder_outputs.0    instead of the encoder's input
//   and what the model's GenerationInputs() says.
// Runs the encoder where there is one.
//
// kInvalidArgument, naming the input, for names that are none of these, for
// shapes that do not fit, an empty batch, or a start that no setting gives.
// Matches: transformers 4.34 `_prepare_model_inputs`,
//     `_prepare_attention_mask_for_generation`,
//     `_prepare_encoder_decoder_kwargs_for_generation`,
//     `_prepare_decoder_input_ids_for_generation`.
// Differs: refuses inputs that the class's `prepare_inputs_for_generation`
//     drops (a decoder's head_mask, position_ids), where 4.34 takes them and
//     makes no use of them.
absl::StatusOr<Prompt> MakePrompt(PretrainedModel& model,
                                  const NamedTensors& inputs,
                                  const GenerationConfig& config,
                                  const ForwardOptions& options);

// [r, tokens] of int64: how many tokens that attend come before each; 1 for
// padding. Undefined for an undefined mask.
at::Tensor PositionIds(const at::Tensor& attention_mask);

// Whether the model has an encoder and a decoder, as its config says.
bool IsEncoderDecoder(const PretrainedModel& model);

}  // namespace pretrained

#endif  // PRETRAINED_GENERATION_PROMPT_H_
