#ifndef PRETRAINED_MODELING_ROTARY_INPUTS_H_
#define PRETRAINED_MODELING_ROTARY_INPUTS_H_

#include <cstdint>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "modeling/rotary_options.h"

namespace pretrained {

// What rotary position embeddings ask of a call; kInvalidArgument says what
// does not fit.

// position_ids must be [1 or batch, tokens], or [tokens], of an integer type,
// from 0 to `limit` - 1; undefined ones pass. `limit_name` says what the limit
// is.
absl::Status CheckPositionIds(const at::Tensor& position_ids, int64_t batch,
                              int64_t tokens, int64_t limit,
                              absl::string_view limit_name);

// Whether angles are defined for a sequence of `length` tokens: with dynamic
// scaling, `dim` / (`dim` - 2) is the power by which the base grows.
absl::Status CheckRotaryLength(const RotaryOptions& options, int64_t length);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_ROTARY_INPUTS_H_
