#include "checkpoint/torch/strided_copy.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/types/span.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

// A tile is this many bytes a side: whole cache lines of both ends.
constexpr int64_t kTileBytes = 128;

// Any element of sixteen bytes.
struct Bytes16 {
  uint64_t low;
  uint64_t high;
};

// Drops dimensions of one element, brings the rest into the order of
// `to_stride`, largest first, and joins those that continue each other. Copying
// in that order writes forward.
std::vector<CopyDimension> Simplify(
    absl::Span<const CopyDimension> dimensions) {
  std::vector<CopyDimension> sorted;
  for (const CopyDimension& d : dimensions) {
    if (d.count != 1) sorted.push_back(d);
  }
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const CopyDimension& a, const CopyDimension& b) {
                     return a.to_stride > b.to_stride;
                   });
  std::vector<CopyDimension> joined;
  for (const CopyDimension& d : sorted) {
    if (!joined.empty()) {
      CopyDimension& outer = joined.back();
      // Strides can be anything where the file says so; the products cannot
      // overflow, since the elements lie in memory.
      if (outer.from_stride == d.from_stride * d.count &&
          outer.to_stride == d.to_stride * d.count) {
        outer = {outer.count * d.count, d.from_stride, d.to_stride};
        continue;
      }
    }
    joined.push_back(d);
  }
  return joined;
}

// One element after another along `d`.
template <typename T>
void CopyRow(const char* from, char* to, const CopyDimension& d) {
  constexpr int64_t kBytes = sizeof(T);
  if (d.from_stride == 1 && d.to_stride == 1) {
    std::memcpy(to, from, d.count * kBytes);
    return;
  }
  for (int64_t i = 0; i < d.count; ++i) {
    T element;
    std::memcpy(&element, from + i * d.from_stride * kBytes, kBytes);
    std::memcpy(to + i * d.to_stride * kBytes, &element, kBytes);
  }
}

// Rows of `inner` along `outer`. Where the rows jump about in the source while
// `outer` steps through it, as in a transpose, each cache line of the source
// would be fetched once an element; within a tile it is fetched once.
template <typename T>
void CopyPlane(const char* from, char* to, const CopyDimension& outer,
               const CopyDimension& inner) {
  constexpr int64_t kBytes = sizeof(T);
  const bool tiled = inner.from_stride > outer.from_stride;
  const int64_t tile =
      tiled ? kTileBytes / kBytes : std::max(outer.count, inner.count);
  for (int64_t i = 0; i < outer.count; i += tile) {
    const int64_t i_end = std::min(i + tile, outer.count);
    for (int64_t j = 0; j < inner.count; j += tile) {
      const CopyDimension row = {std::min(tile, inner.count - j),
                                 inner.from_stride, inner.to_stride};
      for (int64_t k = i; k < i_end; ++k) {
        CopyRow<T>(
            from + (k * outer.from_stride + j * inner.from_stride) * kBytes,
            to + (k * outer.to_stride + j * inner.to_stride) * kBytes, row);
      }
    }
  }
}

template <typename T>
void CopyElements(const char* from, char* to,
                  std::vector<CopyDimension> dimensions) {
  constexpr int64_t kBytes = sizeof(T);
  if (dimensions.empty()) {
    CopyRow<T>(from, to, {1, 1, 1});
    return;
  }
  const CopyDimension inner = dimensions.back();
  dimensions.pop_back();
  if (dimensions.empty()) {
    CopyRow<T>(from, to, inner);
    return;
  }
  // The plane's other side is the one whose steps in the source are shortest.
  const auto shortest =
      std::min_element(dimensions.begin(), dimensions.end(),
                       [](const CopyDimension& a, const CopyDimension& b) {
                         return a.from_stride < b.from_stride;
                       });
  const CopyDimension outer = *shortest;
  dimensions.erase(shortest);

  std::vector<int64_t> index(dimensions.size(), 0);
  int64_t from_element = 0;
  int64_t to_element = 0;
  while (true) {
    CopyPlane<T>(from + from_element * kBytes, to + to_element * kBytes, outer,
                 inner);
    size_t i = dimensions.size();
    for (; i > 0; --i) {  // Counts up, the last dimension fastest.
      const CopyDimension& d = dimensions[i - 1];
      from_element += d.from_stride;
      to_element += d.to_stride;
      if (++index[i - 1] < d.count) break;
      from_element -= d.count * d.from_stride;
      to_element -= d.count * d.to_stride;
      index[i - 1] = 0;
    }
    if (i == 0) return;
  }
}

uint16_t Reversed(uint16_t value) { return __builtin_bswap16(value); }
uint32_t Reversed(uint32_t value) { return __builtin_bswap32(value); }
uint64_t Reversed(uint64_t value) { return __builtin_bswap64(value); }

template <typename T>
void SwapUnits(absl::Span<char> bytes) {
  for (size_t i = 0; i + sizeof(T) <= bytes.size(); i += sizeof(T)) {
    T unit;
    std::memcpy(&unit, bytes.data() + i, sizeof(T));
    unit = Reversed(unit);
    std::memcpy(bytes.data() + i, &unit, sizeof(T));
  }
}

}  // namespace

std::vector<CopyDimension> GatherDimensions(absl::Span<const int64_t> shape,
                                            absl::Span<const int64_t> strides) {
  std::vector<CopyDimension> dimensions(shape.size());
  if (std::count(shape.begin(), shape.end(), 0) > 0) {
    return {CopyDimension()};  // Others may be too large to be multiplied.
  }
  int64_t dense = 1;
  for (size_t i = shape.size(); i > 0; --i) {
    dimensions[i - 1] = {shape[i - 1], strides[i - 1], dense};
    dense *= shape[i - 1];
  }
  return dimensions;
}

int64_t SpanElements(absl::Span<const CopyDimension> dimensions) {
  int64_t last = 0;
  for (const CopyDimension& d : dimensions) {
    if (d.count == 0) return 0;
    last += (d.count - 1) * d.from_stride;
  }
  return last + 1;
}

void CopyStrided(const char* from, char* to, int64_t element_bytes,
                 absl::Span<const CopyDimension> dimensions) {
  for (const CopyDimension& d : dimensions) {
    if (d.count == 0) return;
  }
  std::vector<CopyDimension> simple = Simplify(dimensions);
  switch (element_bytes) {
    case 1:
      return CopyElements<uint8_t>(from, to, std::move(simple));
    case 2:
      return CopyElements<uint16_t>(from, to, std::move(simple));
    case 4:
      return CopyElements<uint32_t>(from, to, std::move(simple));
    case 8:
      return CopyElements<uint64_t>(from, to, std::move(simple));
    default:
      return CopyElements<Bytes16>(from, to, std::move(simple));
  }
}

void SwapBytes(absl::Span<char> bytes, int64_t unit_bytes) {
  switch (unit_bytes) {
    case 2:
      return SwapUnits<uint16_t>(bytes);
    case 4:
      return SwapUnits<uint32_t>(bytes);
    case 8:
      return SwapUnits<uint64_t>(bytes);
    default:
      return;
  }
}

}  // namespace checkpoint_internal
}  // namespace pretrained
