#include "modeling/rotary_inputs.h"

#include <cstdint>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "modeling/named_inputs.h"
#include "modeling/rotary_options.h"

namespace pretrained {

absl::Status CheckPositionIds(const at::Tensor& position_ids, int64_t batch,
                              int64_t tokens, int64_t limit,
                              absl::string_view limit_name) {
  const at::Tensor& ids = position_ids;
  if (!ids.defined()) return absl::OkStatus();
  const bool fits = (ids.dim() == 1 && ids.size(0) == tokens) ||
                    (ids.dim() == 2 && ids.size(1) == tokens &&
                     (ids.size(0) == 1 || ids.size(0) == batch));
  if (!fits) {
    return BadShape(
        "position_ids", ids,
        absl::StrCat("[1 or ", batch, ", ", tokens, "] is expected"));
  }
  return CheckIds("position_ids", ids, limit, limit_name);
}

absl::Status CheckRotaryLength(const RotaryOptions& options, int64_t length) {
  if (options.scaling != RotaryOptions::Scaling::kDynamic || options.dim != 2 ||
      length <= options.max_positions) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "the inputs, with the cache, have ", length,
      " tokens, but where two numbers of each head turn, dynamic rope_scaling "
      "is not defined beyond max_position_embeddings, ",
      options.max_positions));
}

}  // namespace pretrained
