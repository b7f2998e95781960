#ifndef PRETRAINED_CHECKPOINT_LOADING_READ_PLAN_H_
#define PRETRAINED_CHECKPOINT_LOADING_READ_PLAN_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"

namespace pretrained {

// Bytes [begin, end) of a file, all of which some tensor wants, whole elements
// of it.
struct WantedRange {
  size_t tensor = 0;  // Whose: the caller's number.
  int file = 0;       // Index into Checkpoint::files().
  int64_t begin = 0;
  int64_t end = 0;
  int64_t element_bytes = 1;
  int64_t first_element = 0;  // Of the tensor's elements in the order in which
                              // they are wanted: where the range starts.
};

// What of a range one read brings.
struct ReadPiece {
  size_t tensor = 0;
  int64_t begin = 0;  // Bytes of the file, within the read.
  int64_t end = 0;
  int64_t first_element = 0;
  int64_t num_elements = 0;
};

// One read of adjacent bytes.
struct PlannedRead {
  int file = 0;
  int64_t begin = 0;
  int64_t end = 0;
  std::vector<ReadPiece> pieces;  // Ascending; there may be gaps.

  int64_t nbytes() const { return end - begin; }
};

struct ReadPlan {
  std::vector<PlannedRead> reads;  // By file; ascending, but where ranges
                                   // overlap.
  int64_t wanted_bytes = 0;        // Of all ranges.
  int64_t read_bytes = 0;          // Of all reads: with the gaps.
};

struct ReadPlanOptions {
  // No read is longer; a multiple of `block_bytes` that holds an element.
  int64_t max_read_bytes = int64_t{4} << 20;
  // What is not wanted between two ranges is read rather than left out when it
  // is no longer: another read costs more.
  int64_t max_gap_bytes = int64_t{64} << 10;
  // A long range is cut where a block of the file ends, so that reads in whole
  // blocks read few of them twice.
  int64_t block_bytes = 4096;
};

// Turns what is wanted into reads: in file order, ranges that lie close
// together in one, long ones in several. Ranges may come in any order and may
// overlap (each gets its bytes).
// Cost: O(n log n) of the ranges. Nothing is opened.
ReadPlan PlanReads(std::vector<WantedRange> ranges,
                   const ReadPlanOptions& options = {});

// The ranges of a tensor that is in place: one of all of it, or of the elements
// within `slice` (as Checkpoint::ReadSlice), row-major.
//   kInvalidArgument     a slice that does not fit the shape
//   kFailedPrecondition  the tensor is not in place
absl::StatusOr<std::vector<WantedRange>> RangesOf(
    const TensorInfo& tensor, size_t number,
    absl::Span<const SliceRange> slice = {});

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_LOADING_READ_PLAN_H_
