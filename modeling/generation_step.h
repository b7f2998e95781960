#ifndef PRETRAINED_MODELING_GENERATION_STEP_H_
#define PRETRAINED_MODELING_GENERATION_STEP_H_

#include "ATen/core/Tensor.h"
#include "modeling/model_output.h"

namespace pretrained {

// Where a generated text stands before its next token. Rows r (texts), tokens t
// that the model has not seen yet, cached ones p. What is not there is
// undefined, or empty.
struct GenerationStep {
  at::Tensor input_ids;  // [r, t] of int64; the decoder's where there are two.
  // [r, p + t] of int64; undefined where no token is padding. Of a model with
  // an encoder: that encoder's, [r, encoder tokens].
  at::Tensor attention_mask;
  // [r, t]: how many tokens that are no padding come before; of padding 1.
  // Undefined where that is p, p + 1, ..
  at::Tensor position_ids;
  KeyValueCache past_key_values;
  BaseModelOutput encoder_outputs;  // [r, encoder tokens, hidden size]
  // Further inputs as the model's GenerationInputs() names them, for these
  // tokens: "token_type_ids" [r, t], ..
  NamedTensors others;
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_GENERATION_STEP_H_
