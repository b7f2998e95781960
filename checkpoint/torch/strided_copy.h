#ifndef PRETRAINED_CHECKPOINT_TORCH_STRIDED_COPY_H_
#define PRETRAINED_CHECKPOINT_TORCH_STRIDED_COPY_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace pretrained {
namespace checkpoint_internal {

// One dimension of a copy: so many elements, each so many elements behind the
// one before, at either end. No number is negative.
struct CopyDimension {
  int64_t count = 0;
  int64_t from_stride = 0;  // 0 repeats an element.
  int64_t to_stride = 0;

  friend bool operator==(const CopyDimension& a, const CopyDimension& b) {
    return a.count == b.count && a.from_stride == b.from_stride &&
           a.to_stride == b.to_stride;
  }
};

// Dimensions that bring a tensor of this shape and these strides, in elements,
// into a dense row-major one.
std::vector<CopyDimension> GatherDimensions(absl::Span<const int64_t> shape,
                                            absl::Span<const int64_t> strides);

// Copies the elements that `dimensions` run over, from `from` to `to`, each of
// `element_bytes` (1, 2, 4, 8 or 16) bytes.
//
//   // The transpose of a dense F32[3, 5]:
//   CopyStrided(in, out, 4, GatherDimensions({5, 3}, {1, 5}));
//
// Neither end needs to be aligned. `from` holds every element that is named,
// `to` has room for each, and they do not overlap.
// Cost: a memcpy() for each run that is dense at both ends; otherwise tiles
//     that fit the first-level cache. See strided_copy_benchmark.cc.
void CopyStrided(const char* from, char* to, int64_t element_bytes,
                 absl::Span<const CopyDimension> dimensions);

// The elements from the first to the last one that `dimensions` name at the
// `from` end; 0 if they name none.
int64_t SpanElements(absl::Span<const CopyDimension> dimensions);

// Reverses the order of the bytes in each `unit_bytes` (1, 2, 4 or 8) of
// `bytes`, whose size is a multiple of it: big-endian numbers to little-endian
// ones, and back.
void SwapBytes(absl::Span<char> bytes, int64_t unit_bytes);

}  // namespace checkpoint_internal
}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_TORCH_STRIDED_COPY_H_
