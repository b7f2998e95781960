#include "modeling/last_token.h"

#include <cstdint>
#include <optional>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace pretrained {

absl::StatusOr<at::Tensor> LastTokenLogits(const at::Tensor& logits,
                                           const at::Tensor& input_ids,
                                           std::optional<int64_t> pad_token_id,
                                           LastTokenRule rule) {
  const int64_t batch = logits.size(0);
  if (!pad_token_id.has_value() && batch != 1) {
    return absl::InvalidArgumentError(
        "several sequences can only be classified with a padding token: set "
        "pad_token_id in the config, or give one sequence at a time");
  }
  if (!pad_token_id.has_value() || !input_ids.defined()) {
    return logits.select(1, logits.size(1) - 1);
  }
  // Where no token is padding the first maximum is at 0, and -1 is the last.
  const at::Tensor place =
      rule == LastTokenRule::kByCount
          ? input_ids.ne(*pad_token_id).sum(-1)
          : input_ids.eq(*pad_token_id).to(at::kLong).argmax(-1);
  const at::Tensor last = at::remainder(place - 1, logits.size(1));
  const at::Tensor rows =
      at::arange(batch, at::dtype(at::kLong).device(logits.device()));
  return logits.index({rows, last.to(logits.device())});
}

at::Tensor StatesForLogits(const at::Tensor& states,
                           const ForwardOptions& options) {
  if (!options.only_last_logits || states.size(1) == 1) return states;
  return states.narrow(1, states.size(1) - 1, 1);
}

}  // namespace pretrained
