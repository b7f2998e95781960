#include "checkpoint/checkpoint.h"

#include <cstdint>
#include <limits>

#include "dtypes/dtype.h"

namespace pretrained {

int64_t TensorInfo::num_elements() const {
  int64_t count = 1;
  for (const int64_t extent : shape) {
    if (__builtin_mul_overflow(count, extent, &count)) {
      return std::numeric_limits<int64_t>::max();
    }
  }
  return count;
}

int64_t TensorInfo::nbytes() const {
  if (in_place) return end - begin;
  int64_t bytes;
  return __builtin_mul_overflow(num_elements(), DtypeSize(dtype), &bytes)
             ? std::numeric_limits<int64_t>::max()
             : bytes;
}

}  // namespace pretrained
