#include "checkpoint/loading/tensor_request.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/error_text.h"
#include "checkpoint/tensor_slice.h"
#include "dtypes/convert.h"
#include "dtypes/dtype.h"

namespace pretrained {
namespace {

// Of loads of one number of the dtype; a complex one is two of them.
int64_t AlignmentOf(Dtype dtype) {
  return IsComplex(dtype) ? DtypeSize(dtype) / 2 : DtypeSize(dtype);
}

// The elements within `slice`, of a tensor that need not be in place.
absl::StatusOr<int64_t> ElementsOfSlice(const TensorInfo& tensor,
                                        absl::Span<const SliceRange> slice) {
  TensorInfo dense = tensor;
  dense.end = dense.begin + dense.nbytes();
  const absl::StatusOr<TensorSlice> runs = TensorSlice::Create(dense, slice);
  if (!runs.ok()) return runs.status();
  return runs->nbytes() / DtypeSize(tensor.dtype);
}

}  // namespace

int64_t NumElements(const TensorRequest& request) {
  if (request.slice.empty()) return request.tensor->num_elements();
  return ElementsOfSlice(*request.tensor, request.slice)
      .value_or(std::numeric_limits<int64_t>::max());
}

int64_t ResultBytes(const TensorRequest& request) {
  return NumElements(request) * DtypeSize(request.dtype);
}

int64_t StoredBytes(const TensorRequest& request) {
  return NumElements(request) * DtypeSize(request.tensor->dtype);
}

absl::Status CheckRequest(const Checkpoint& checkpoint,
                          const TensorRequest& request) {
  const TensorInfo& tensor = *request.tensor;
  const std::string where =
      absl::StrCat(checkpoint.files()[tensor.file].path, ": tensor ",
                   checkpoint_internal::QuotedName(tensor.name));
  if (tensor.dtype != request.dtype &&
      !CanConvert(tensor.dtype, request.dtype)) {
    return absl::UnimplementedError(
        absl::StrCat(where, " is stored as ", DtypeName(tensor.dtype),
                     ", which is not converted to ", DtypeName(request.dtype)));
  }
  if (!request.slice.empty()) {
    const auto elements = ElementsOfSlice(tensor, request.slice);
    if (!elements.ok()) {
      return absl::Status(elements.status().code(),
                          absl::StrCat(checkpoint.files()[tensor.file].path,
                                       ": ", elements.status().message()));
    }
  }
  if (request.destination.data() == nullptr) return absl::OkStatus();
  const int64_t want = ResultBytes(request);
  if (static_cast<int64_t>(request.destination.size()) != want) {
    return absl::InvalidArgumentError(absl::StrCat(
        where, ": its destination has ", request.destination.size(),
        " bytes, but needs ", want, " as ", DtypeName(request.dtype),
        "; pass exactly as many"));
  }
  if (reinterpret_cast<uintptr_t>(request.destination.data()) %
          AlignmentOf(request.dtype) !=
      0) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": its destination is not aligned for ",
                     DtypeName(request.dtype), "; pass memory that is"));
  }
  return absl::OkStatus();
}

std::map<int, FileShare> ShareOut(const Checkpoint& checkpoint,
                                  absl::Span<const TensorRequest> requests,
                                  bool may_view) {
  std::vector<size_t> order;
  for (size_t i = 0; i < requests.size(); ++i) {
    if (NumElements(requests[i]) > 0) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    const TensorInfo& x = *requests[a].tensor;
    const TensorInfo& y = *requests[b].tensor;
    return std::tie(x.file, x.begin) < std::tie(y.file, y.begin);
  });
  std::map<int, FileShare> shares;
  std::map<int, int64_t> used_up_to;  // By file, of the tensors before.
  for (const size_t i : order) {
    const TensorRequest& request = requests[i];
    const TensorInfo& tensor = *request.tensor;
    FileShare& share = shares[tensor.file];
    int64_t& used = used_up_to[tensor.file];
    const bool is_first = tensor.begin >= used;
    used = std::max(used, tensor.end);
    const bool is_file = checkpoint.FileDescriptor(tensor.file) >= 0;
    const bool is_plain = is_first && request.dtype == tensor.dtype &&
                          request.slice.empty() &&
                          request.destination.data() == nullptr;
    if (!is_file && is_plain && may_view) {
      share.viewed.push_back(i);
    } else if (!is_file || !tensor.in_place) {
      share.whole.push_back(i);
    } else if (is_plain && tensor.begin % AlignmentOf(tensor.dtype) == 0) {
      share.as_stored.push_back(i);
    } else {
      share.converted.push_back(i);
    }
  }
  return shares;
}

}  // namespace pretrained
