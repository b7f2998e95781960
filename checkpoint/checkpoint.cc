#include "checkpoint/checkpoint.h"

#include <cstdint>
#include <limits>

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

}  // namespace pretrained
