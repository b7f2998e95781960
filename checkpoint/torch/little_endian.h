#ifndef PRETRAINED_CHECKPOINT_TORCH_LITTLE_ENDIAN_H_
#define PRETRAINED_CHECKPOINT_TORCH_LITTLE_ENDIAN_H_

#include <cstddef>
#include <cstdint>

namespace pretrained {
namespace checkpoint_internal {

// The unsigned integer in the sizeof(T) bytes at `p`, lowest byte first, on a
// machine of any byte order.
template <typename T>
T LoadLittleEndian(const char* p) {
  T value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) {
    value |=
        static_cast<T>(static_cast<T>(static_cast<uint8_t>(p[i])) << (8 * i));
  }
  return value;
}

}  // namespace checkpoint_internal
}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_TORCH_LITTLE_ENDIAN_H_
