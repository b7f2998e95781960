#include "checkpoint/tensor_slice.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/error_text.h"
#include "dtypes/dtype.h"

namespace pretrained {
namespace {

using checkpoint_internal::QuotedName;
using checkpoint_internal::ShapeText;

// OK if shape x dtype is nbytes(). Once it is, and is not zero, every product
// of extents and element size below is at most nbytes() and cannot overflow.
absl::Status CheckSize(const TensorInfo& tensor) {
  int64_t nbytes = DtypeSize(tensor.dtype);
  bool valid = true;
  for (const int64_t extent : tensor.shape) {
    valid &= extent >= 0 && !__builtin_mul_overflow(nbytes, extent, &nbytes);
  }
  if (valid && nbytes == tensor.nbytes()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "tensor ", QuotedName(tensor.name), ": ", tensor.nbytes(),
      " bytes are not what ", DtypeName(tensor.dtype), ShapeText(tensor.shape),
      " needs; pass a TensorInfo as the checkpoint lists it"));
}

absl::Status CheckRanges(const TensorInfo& tensor,
                         absl::Span<const SliceRange> ranges) {
  if (ranges.size() > tensor.shape.size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "tensor ", QuotedName(tensor.name), ": the slice has ", ranges.size(),
        " ranges, but shape ", ShapeText(tensor.shape), " has rank ",
        tensor.shape.size(), "; give at most one range a dimension"));
  }
  for (size_t d = 0; d < ranges.size(); ++d) {
    const auto [start, stop] = ranges[d];
    if (start < 0 || start > stop || stop > tensor.shape[d]) {
      return absl::InvalidArgumentError(absl::StrCat(
          "tensor ", QuotedName(tensor.name), ": range [", start, ", ", stop,
          ") of dimension ", d, " does not lie within its extent ",
          tensor.shape[d], " (shape ", ShapeText(tensor.shape),
          "); need 0 <= start <= stop <= extent"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TensorSlice> TensorSlice::Create(
    const TensorInfo& tensor, absl::Span<const SliceRange> ranges) {
  if (absl::Status s = CheckSize(tensor); !s.ok()) return s;
  if (absl::Status s = CheckRanges(tensor, ranges); !s.ok()) return s;

  TensorSlice slice;
  const bool empty =
      tensor.nbytes() == 0 ||
      std::any_of(ranges.begin(), ranges.end(),
                  [](const SliceRange& r) { return r.start == r.stop; });
  if (empty) return slice;

  // From the innermost dimension out. While every dimension so far was whole,
  // the next one only makes the run longer; from the first partial dimension
  // on (itself still part of the run), each one is a loop around it.
  slice.run_bytes_ = DtypeSize(tensor.dtype);
  slice.num_runs_ = 1;
  int64_t stride_bytes = slice.run_bytes_;
  bool run_is_open = true;
  for (size_t d = tensor.shape.size(); d-- > 0;) {
    const int64_t extent = tensor.shape[d];
    const SliceRange range =
        d < ranges.size() ? ranges[d] : SliceRange{0, extent};
    const int64_t count = range.stop - range.start;
    slice.first_byte_ += range.start * stride_bytes;
    if (run_is_open) {
      slice.run_bytes_ *= count;
      run_is_open = count == extent;
    } else if (count > 1) {
      slice.loops_.push_back({count, stride_bytes});
      slice.num_runs_ *= count;
    }
    stride_bytes *= extent;
  }
  std::reverse(slice.loops_.begin(), slice.loops_.end());
  return slice;
}

int64_t TensorSlice::span_bytes(int64_t step_bytes) const {
  int64_t span = run_bytes_;
  for (size_t l = loops_.size(); l-- > 0;) {
    if (loops_[l].stride_bytes > step_bytes) break;
    span += (loops_[l].count - 1) * loops_[l].stride_bytes;
  }
  return span;
}

absl::Status TensorSlice::ForEachRun(
    absl::FunctionRef<absl::Status(int64_t offset)> visit) const {
  std::vector<int64_t> index(loops_.size(), 0);
  int64_t offset = first_byte_;
  for (int64_t run = 0; run < num_runs_; ++run) {
    if (absl::Status s = visit(offset); !s.ok()) return s;
    // An odometer: the innermost loop moves on; one that is through goes back
    // to its start and carries over to the loop around it.
    for (size_t l = loops_.size(); l-- > 0;) {
      offset += loops_[l].stride_bytes;
      if (++index[l] < loops_[l].count) break;
      offset -= loops_[l].count * loops_[l].stride_bytes;
      index[l] = 0;
    }
  }
  return absl::OkStatus();
}

}  // namespace pretrained
