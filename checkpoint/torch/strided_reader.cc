#include "checkpoint/torch/strided_reader.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "checkpoint/torch/read_at.h"
#include "checkpoint/torch/strided_copy.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

constexpr int64_t kWindowBytes = int64_t{16} << 20;

// A gap longer than this is not read: another read costs less.
constexpr int64_t kLongGapBytes = int64_t{16} << 10;

class StridedReader {
 public:
  StridedReader(ReadAt read, int64_t begin, int64_t element_bytes, char* to)
      : read_(read), begin_(begin), element_bytes_(element_bytes), to_(to) {}

  // Reads what `dimensions`, largest step in the file first, run over from the
  // elements `from` of the file and `to` of the destination on.
  absl::Status Read(absl::Span<const CopyDimension> dimensions, int64_t from,
                    int64_t to);

 private:
  // As Read(), where all of it fits the window or is dense at both ends.
  absl::Status ReadPiece(absl::Span<const CopyDimension> dimensions,
                         int64_t from, int64_t to);

  ReadAt read_;
  const int64_t begin_;
  const int64_t element_bytes_;
  char* const to_;
  std::vector<char> window_;
};

bool IsDenseAtBothEnds(absl::Span<const CopyDimension> dimensions) {
  int64_t dense = 1;
  for (size_t i = dimensions.size(); i > 0; --i) {
    const CopyDimension& d = dimensions[i - 1];
    if (d.count == 1) continue;
    if (d.from_stride != dense || d.to_stride != dense) return false;
    dense *= d.count;
  }
  return true;
}

absl::Status StridedReader::ReadPiece(
    absl::Span<const CopyDimension> dimensions, int64_t from, int64_t to) {
  const int64_t bytes = SpanElements(dimensions) * element_bytes_;
  const int64_t offset = begin_ + from * element_bytes_;
  char* const destination = to_ + to * element_bytes_;
  if (IsDenseAtBothEnds(dimensions)) {
    return read_(offset, absl::MakeSpan(destination, bytes));
  }
  if (static_cast<int64_t>(window_.size()) < bytes) window_.resize(bytes);
  absl::Status status = read_(offset, absl::MakeSpan(window_.data(), bytes));
  if (!status.ok()) return status;
  CopyStrided(window_.data(), destination, element_bytes_, dimensions);
  return absl::OkStatus();
}

absl::Status StridedReader::Read(absl::Span<const CopyDimension> dimensions,
                                 int64_t from, int64_t to) {
  if (dimensions.empty() || IsDenseAtBothEnds(dimensions)) {
    return ReadPiece(dimensions, from, to);
  }
  const CopyDimension& outer = dimensions[0];
  const absl::Span<const CopyDimension> inner = dimensions.subspan(1);
  const int64_t window = kWindowBytes / element_bytes_;
  const int64_t gap_bytes =
      (outer.from_stride - SpanElements(inner)) * element_bytes_;
  const bool split = gap_bytes > kLongGapBytes && outer.count > 1;
  if (!split && SpanElements(dimensions) <= window) {
    return ReadPiece(dimensions, from, to);
  }
  const bool inner_fits = !split && SpanElements(inner) <= window;
  // As many steps at once as fit; the stride is not 0, or all would have.
  const int64_t at_once =
      inner_fits ? 1 + (window - SpanElements(inner)) / outer.from_stride : 1;
  std::vector<CopyDimension> piece(dimensions.begin(), dimensions.end());
  for (int64_t i = 0; i < outer.count; i += at_once) {
    piece[0].count = std::min(at_once, outer.count - i);
    const int64_t piece_from = from + i * outer.from_stride;
    const int64_t piece_to = to + i * outer.to_stride;
    absl::Status status = inner_fits ? ReadPiece(piece, piece_from, piece_to)
                                     : Read(inner, piece_from, piece_to);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ReadStrided(ReadAt read, int64_t begin, int64_t element_bytes,
                         std::vector<CopyDimension> dimensions, char* to) {
  if (SpanElements(dimensions) == 0) return absl::OkStatus();
  dimensions.erase(
      std::remove_if(dimensions.begin(), dimensions.end(),
                     [](const CopyDimension& d) { return d.count == 1; }),
      dimensions.end());
  std::stable_sort(dimensions.begin(), dimensions.end(),
                   [](const CopyDimension& a, const CopyDimension& b) {
                     return a.from_stride > b.from_stride;
                   });
  return StridedReader(read, begin, element_bytes, to)
      .Read(dimensions, /*from=*/0, /*to=*/0);
}

}  // namespace checkpoint_internal
}  // namespace pretrained
