#ifndef PRETRAINED_CHECKPOINT_TORCH_STRIDED_READER_H_
#define PRETRAINED_CHECKPOINT_TORCH_STRIDED_READER_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "checkpoint/torch/read_at.h"
#include "checkpoint/torch/strided_copy.h"

namespace pretrained {
namespace checkpoint_internal {

// CopyStrided() out of a file, whose element 0 is at byte `begin`: `read` is
// asked for the bytes between the first and the last element that is named, and
// for none outside.
//
// Cost: up to 16 MiB of memory, whatever the strides; bytes between elements
//     that lie far apart are not read. What is dense at both ends is read into
//     its place.
absl::Status ReadStrided(ReadAt read, int64_t begin, int64_t element_bytes,
                         std::vector<CopyDimension> dimensions, char* to);

}  // namespace checkpoint_internal
}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_TORCH_STRIDED_READER_H_
