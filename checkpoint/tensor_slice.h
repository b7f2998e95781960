#ifndef PRETRAINED_CHECKPOINT_TENSOR_SLICE_H_
#define PRETRAINED_CHECKPOINT_TENSOR_SLICE_H_

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"

namespace pretrained {

// A rectangular part of a row-major tensor, as runs of adjacent bytes.
//
//   // Rows 2 and 3 of an F32[8, 100]: one run of 800 bytes at byte 800.
//   auto slice = TensorSlice::Create(tensor, {{2, 4}});
//   slice->run_bytes();  slice->num_runs();         // 800, 1
//   slice->ForEachRun([&](int64_t offset) { .. });  // 800
//
// Trailing dimensions taken whole are part of the run, so that a slice of
// rows, the common case, is a single one.
// Cost: Create() is O(rank); ForEachRun() is O(num_runs).
// Threads: immutable.
class TensorSlice {
 public:
  // Elements of `tensor` within `ranges`: one range a leading dimension; those
  // left out are whole. kInvalidArgument, with the dimension and its extent,
  // when a range lies outside the shape, and when the byte range of `tensor`
  // is not what its shape and dtype need.
  static absl::StatusOr<TensorSlice> Create(
      const TensorInfo& tensor, absl::Span<const SliceRange> ranges);

  // Bytes of the slice, stored densely.
  int64_t nbytes() const { return run_bytes_ * num_runs_; }
  int64_t run_bytes() const { return run_bytes_; }
  int64_t num_runs() const { return num_runs_; }
  // Bytes from the start of the first run to the end of the last one that can
  // be reached from it in steps of at most `step_bytes`; run_bytes() where
  // every step is longer.
  int64_t span_bytes(int64_t step_bytes) const;

  // Calls `visit` with each run's first byte, counted from the tensor's own,
  // in ascending order, until one call fails.
  absl::Status ForEachRun(
      absl::FunctionRef<absl::Status(int64_t offset)> visit) const;

 private:
  struct Loop {  // One dimension outside the run; outermost first.
    int64_t count;
    int64_t stride_bytes;
  };

  TensorSlice() = default;

  int64_t first_byte_ = 0;
  int64_t run_bytes_ = 0;
  int64_t num_runs_ = 0;
  std::vector<Loop> loops_;
};

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_TENSOR_SLICE_H_
