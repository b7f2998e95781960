#ifndef PRETRAINED_CHECKPOINT_TORCH_TORCH_LEGACY_H_
#define PRETRAINED_CHECKPOINT_TORCH_TORCH_LEGACY_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "checkpoint/torch/read_at.h"
#include "checkpoint/torch/torch_file.h"

namespace pretrained {
namespace checkpoint_internal {

// ReadTorchFile() for the container that torch.save wrote before PyTorch 1.6,
// and still writes with _use_new_zipfile_serialization=False: five pickles one
// after the other (magic number, protocol version, system info, the objects,
// the keys of the storages), then the storages in the order of those keys, each
// an int64 count of elements and the bytes.
//
// Cost: the pickles are read through a window that grows until they fit; a
//     storage costs one read of 8 bytes.
// Layout: docs/torch_legacy_format.md.
// Matches: torch 2.1 `_legacy_load` in torch/serialization.py.
// Differs: a storage that the objects need and the keys lack is refused, as is
//     a key that comes twice; torch leaves the former uninitialised.
absl::StatusOr<TorchFile> ReadTorchLegacy(ReadAt read, int64_t file_size,
                                          absl::string_view file_name);

}  // namespace checkpoint_internal
}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_TORCH_TORCH_LEGACY_H_
