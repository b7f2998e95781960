#include "modeling/token_embeddings.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

#include "ATen/core/Tensor.h"
#include "ATen/core/grad_mode.h"
#include "ATen/ops/empty.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "modeling/catch_torch.h"
#include "modeling/module.h"

namespace pretrained {

absl::StatusOr<int64_t> ResizedRows(int64_t current_rows, int64_t num_tokens,
                                    std::optional<int64_t> pad_to_multiple_of) {
  // Beyond this no vocabulary makes sense, and sizes would overflow.
  constexpr int64_t kMaxRows = int64_t{1} << 31;
  const int64_t multiple = pad_to_multiple_of.value_or(1);
  const int64_t wanted = num_tokens < 0 ? current_rows : num_tokens;
  if (multiple < 1 || multiple > kMaxRows) {
    return absl::InvalidArgumentError(
        absl::StrCat("pad_to_multiple_of is ", multiple,
                     ", but a whole number from 1 is expected"));
  }
  if (wanted < 1 || wanted > kMaxRows) {
    return absl::InvalidArgumentError(
        absl::StrCat("a vocabulary of ", wanted,
                     " tokens was asked for, but 1 to 2^31 are "
                     "possible"));
  }
  return (wanted + multiple - 1) / multiple * multiple;
}

absl::StatusOr<int64_t> ResizeEmbeddingRows(
    Module& model, absl::string_view weight_name, int64_t num_tokens,
    std::optional<int64_t> pad_to_multiple_of,
    absl::FunctionRef<void(const Module& owner, const at::Tensor& tensor)>
        initialize) {
  for (const Module::NamedSlot& slot : model.TensorSlots()) {
    if (slot.name != weight_name) continue;
    const int64_t old_rows = slot.tensor.size(0);
    absl::StatusOr<int64_t> rows =
        ResizedRows(old_rows, num_tokens, pad_to_multiple_of);
    if (!rows.ok() || *rows == old_rows) return rows;
    return CatchTorch(
        "resizing token embeddings", [&]() -> absl::StatusOr<int64_t> {
          at::NoGradGuard no_grad;
          at::Tensor resized =
              at::empty({*rows, slot.tensor.size(1)}, slot.tensor.options());
          initialize(*slot.owner, resized);
          const int64_t kept = std::min(*rows, old_rows);
          resized.narrow(0, 0, kept).copy_(slot.tensor.narrow(0, 0, kept));
          absl::Status status = model.ReplaceTensor(weight_name, resized);
          if (!status.ok()) return status;
          return *rows;
        });
  }
  return absl::NotFoundError(absl::StrCat(
      model.class_name(), " has no parameter '", weight_name, "'"));
}

absl::Status ResizeOutputRows(
    Module& model, absl::string_view path, int64_t rows,
    absl::FunctionRef<void(const Module& owner, const at::Tensor& tensor)>
        initialize) {
  absl::StatusOr<int64_t> resized = ResizeEmbeddingRows(
      model, absl::StrCat(path, ".weight"), rows, std::nullopt, initialize);
  if (!resized.ok()) return resized.status();
  const std::string bias = absl::StrCat(path, ".bias");
  for (const Module::NamedSlot& slot : model.TensorSlots()) {
    if (slot.name != bias || slot.tensor.size(0) == rows) continue;
    return CatchTorch("resizing the bias of an output", [&] {
      at::NoGradGuard no_grad;
      const int64_t kept = std::min(rows, slot.tensor.size(0));
      const at::Tensor longer = slot.tensor.new_zeros({rows});
      longer.narrow(0, 0, kept).copy_(slot.tensor.narrow(0, 0, kept));
      return model.ReplaceTensor(bias, longer);
    });
  }
  return absl::OkStatus();
}

}  // namespace pretrained
