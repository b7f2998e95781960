#include "modeling/choices.h"

#include <cstdint>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "modeling/named_inputs.h"

namespace pretrained {

absl::StatusOr<ChoiceSizes> MergeChoices(
    at::Tensor& input_ids, at::Tensor& inputs_embeds, int64_t hidden_size,
    const std::vector<std::pair<absl::string_view, at::Tensor*>>& others) {
  const bool by_ids = input_ids.defined();
  if (by_ids == inputs_embeds.defined()) {
    // Says which of both mistakes it is.
    return CheckIdsOrEmbeds(input_ids, inputs_embeds, hidden_size);
  }
  if (by_ids && input_ids.dim() != 3) {
    return BadShape("input_ids", input_ids,
                    "[batch, choices, tokens] is expected");
  }
  if (!by_ids && inputs_embeds.dim() != 4) {
    return BadShape("inputs_embeds", inputs_embeds,
                    absl::StrCat("[batch, choices, tokens, ", hidden_size,
                                 "] is expected"));
  }
  at::Tensor& main = by_ids ? input_ids : inputs_embeds;
  const ChoiceSizes sizes = {.batch = main.size(0), .choices = main.size(1)};
  main = main.flatten(0, 1);
  for (const auto& [name, tensor] : others) {
    if (!tensor->defined() || tensor->dim() == 2) continue;
    if (tensor->dim() != 3) {
      return BadShape(name, *tensor, "[batch, choices, tokens] is expected");
    }
    *tensor = tensor->flatten(0, 1);
  }
  return sizes;
}

}  // namespace pretrained
