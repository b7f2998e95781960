#include "checkpoint/tensor_to_write.h"

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "checkpoint/error_text.h"
#include "dtypes/dtype.h"

namespace pretrained {

using checkpoint_internal::QuotedName;
using checkpoint_internal::ShapeText;

absl::StatusOr<int64_t> CheckedBytes(const TensorToWrite& tensor) {
  int64_t bytes = DtypeSize(tensor.dtype);
  for (const int64_t extent : tensor.shape) {
    if (extent < 0 || __builtin_mul_overflow(bytes, extent, &bytes)) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor ", QuotedName(tensor.name), ": shape ",
                       ShapeText(tensor.shape), " has no size in 64 bits"));
    }
  }
  return bytes;
}

absl::Status ProduceBytes(const TensorToWrite& tensor, TensorSink sink) {
  const absl::StatusOr<int64_t> want = CheckedBytes(tensor);
  if (!want.ok()) return want.status();
  if (*want == 0) return absl::OkStatus();
  if (tensor.data != nullptr) {
    return sink(
        absl::string_view(static_cast<const char*>(tensor.data), *want));
  }
  int64_t got = 0;
  absl::Status status = absl::OkStatus();
  if (tensor.produce) {
    status = tensor.produce([&](absl::string_view piece) {
      got += static_cast<int64_t>(piece.size());
      return got <= *want ? sink(piece) : absl::OkStatus();
    });
  }
  if (status.ok() && got != *want) {
    return absl::InternalError(
        absl::StrCat("tensor ", QuotedName(tensor.name), ": its source gave ",
                     got, " bytes, but dtype and shape call for ", *want));
  }
  return status;
}

}  // namespace pretrained
