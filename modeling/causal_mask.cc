#include "modeling/causal_mask.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>

#include "ATen/ATen.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "modeling/attention_mask.h"
#include "modeling/catch_torch.h"
#include "modeling/named_inputs.h"

namespace pretrained {
namespace {

// [1, 1, queries, keys]: the last query sees every key, each one before it one
// key less.
at::Tensor LaterKeys(const CausalBiasOptions& options, double lowest) {
  const std::array<int64_t, 4> shape = {
      1, 1, options.query_length, options.past_length + options.query_length};
  const at::TensorOptions type =
      at::dtype(options.dtype).device(options.device);
  if (!options.window.has_value()) {
    return at::full(shape, lowest, type).triu_(options.past_length + 1);
  }
  at::Tensor seen = at::ones(shape, type).tril_(options.past_length);
  // A longer window shows no more.
  const int64_t window = std::min(*options.window, options.query_length);
  seen.narrow(3, options.past_length, options.query_length).triu_(-window);
  return at::zeros_like(seen).masked_fill_(
      seen.eq(0), -std::numeric_limits<double>::infinity());
}

}  // namespace

absl::StatusOr<at::Tensor> CausalBias(const at::Tensor& attention_mask,
                                      const CausalBiasOptions& options) {
  const int64_t keys = options.past_length + options.query_length;
  if (attention_mask.defined() &&
      (attention_mask.dim() != 2 || attention_mask.size(1) != keys)) {
    return BadShape("attention_mask", attention_mask,
                    absl::StrCat("[batch, ", keys, "] is expected"));
  }
  const absl::StatusOr<double> lowest = LowestOf(options.dtype);
  if (!lowest.ok()) return lowest.status();
  return CatchTorch("attention_mask", [&]() -> absl::StatusOr<at::Tensor> {
    at::Tensor bias;
    if (options.query_length > 1) bias = LaterKeys(options, *lowest);
    if (!attention_mask.defined()) return bias;
    absl::StatusOr<at::Tensor> padding = ExtendedAttentionMask(
        attention_mask.to(options.device), {.dtype = options.dtype});
    if (!padding.ok()) return padding;
    return bias.defined() ? bias + *padding : *padding;
  });
}

}  // namespace pretrained
