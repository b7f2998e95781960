#ifndef PRETRAINED_CHECKPOINT_TORCH_READ_AT_H_
#define PRETRAINED_CHECKPOINT_TORCH_READ_AT_H_

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"

namespace pretrained {
namespace checkpoint_internal {

// Fills `destination` with a file's bytes from `offset` on. Parsers take one
// instead of a file, so that tests and fuzzers can enter on memory; they ask
// only for bytes within the size that they were given.
using ReadAt = absl::FunctionRef<absl::Status(int64_t offset,
                                              absl::Span<char> destination)>;

}  // namespace checkpoint_internal
}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_TORCH_READ_AT_H_
