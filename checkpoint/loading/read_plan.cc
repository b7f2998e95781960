#include "checkpoint/loading/read_plan.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/error_text.h"
#include "checkpoint/tensor_slice.h"
#include "dtypes/dtype.h"

namespace pretrained {
namespace {

// Makes reads of ranges that come in ascending order.
class Planner {
 public:
  Planner(const ReadPlanOptions& options, ReadPlan& plan)
      : options_(options), plan_(plan) {}

  void Add(const WantedRange& range) {
    plan_.wanted_bytes += range.end - range.begin;
    int64_t first = range.first_element;
    for (int64_t begin = range.begin; begin < range.end;) {
      const int64_t end = EndOfPiece(range, begin);
      const int64_t count = (end - begin) / range.element_bytes;
      ReadOf(range.file, begin, end)
          .pieces.push_back({range.tensor, begin, end, first, count});
      first += count;
      begin = end;
    }
  }

 private:
  // Whether the read in the making may grow to `end`.
  bool Reaches(const PlannedRead& read, int file, int64_t begin,
               int64_t end) const {
    return read.file == file && begin >= read.begin &&
           begin <= read.end + options_.max_gap_bytes &&
           std::max(end, read.end) - read.begin <= options_.max_read_bytes;
  }

  // The end of what of `range`, from `begin` on, goes into one read: the one in
  // the making, if there is room, or else a new one.
  int64_t EndOfPiece(const WantedRange& range, int64_t begin) const {
    if (!plan_.reads.empty() &&
        Reaches(plan_.reads.back(), range.file, begin, begin)) {
      const int64_t end = LastEnd(range, plan_.reads.back().begin);
      if (end > begin) return end;
    }
    return std::max(LastEnd(range, begin), begin + range.element_bytes);
  }

  // Where of `range` a read that starts at `start` ends, at the latest.
  int64_t LastEnd(const WantedRange& range, int64_t start) const {
    int64_t end = start + options_.max_read_bytes;
    if (range.end <= end) return range.end;
    end = end / options_.block_bytes * options_.block_bytes;
    return end - (end - range.begin) % range.element_bytes;
  }

  PlannedRead& ReadOf(int file, int64_t begin, int64_t end) {
    if (plan_.reads.empty() || !Reaches(plan_.reads.back(), file, begin, end)) {
      plan_.reads.push_back({.file = file, .begin = begin, .end = begin});
    }
    PlannedRead& read = plan_.reads.back();
    read.end = std::max(read.end, end);
    return read;
  }

  const ReadPlanOptions& options_;
  ReadPlan& plan_;
};

}  // namespace

ReadPlan PlanReads(std::vector<WantedRange> ranges,
                   const ReadPlanOptions& options) {
  std::sort(ranges.begin(), ranges.end(),
            [](const WantedRange& a, const WantedRange& b) {
              return std::tie(a.file, a.begin, a.end, a.tensor) <
                     std::tie(b.file, b.begin, b.end, b.tensor);
            });
  ReadPlan plan;
  Planner planner(options, plan);
  for (const WantedRange& range : ranges) planner.Add(range);
  for (const PlannedRead& read : plan.reads) plan.read_bytes += read.nbytes();
  return plan;
}

absl::StatusOr<std::vector<WantedRange>> RangesOf(
    const TensorInfo& tensor, size_t number,
    absl::Span<const SliceRange> slice) {
  if (!tensor.in_place) {
    return absl::FailedPreconditionError(absl::StrCat(
        "tensor ", checkpoint_internal::QuotedName(tensor.name),
        " is stored strided, compressed or big-endian, so that no range of "
        "bytes is a part of it; read it whole"));
  }
  WantedRange range = {.tensor = number,
                       .file = tensor.file,
                       .begin = tensor.begin,
                       .end = tensor.end,
                       .element_bytes = DtypeSize(tensor.dtype)};
  std::vector<WantedRange> ranges;
  if (slice.empty()) {
    if (range.begin < range.end) ranges.push_back(range);
    return ranges;
  }
  absl::StatusOr<TensorSlice> runs = TensorSlice::Create(tensor, slice);
  if (!runs.ok()) return runs.status();
  if (runs->nbytes() == 0) return ranges;
  ranges.reserve(runs->num_runs());
  absl::Status status = runs->ForEachRun([&](int64_t offset) {
    range.begin = tensor.begin + offset;
    range.end = range.begin + runs->run_bytes();
    ranges.push_back(range);
    range.first_element += runs->run_bytes() / range.element_bytes;
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return ranges;
}

}  // namespace pretrained
