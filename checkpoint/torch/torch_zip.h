#ifndef PRETRAINED_CHECKPOINT_TORCH_TORCH_ZIP_H_
#define PRETRAINED_CHECKPOINT_TORCH_TORCH_ZIP_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "checkpoint/torch/read_at.h"
#include "checkpoint/torch/torch_file.h"

namespace pretrained {
namespace checkpoint_internal {

// A deflated pickle of at most this size is read: unlike a stored one it can be
// a thousand times the file. It holds some 300,000 tensors.
inline constexpr int64_t kMaxInflatedPickleBytes = int64_t{64} << 20;

// ReadTorchFile() for a zip archive. Of its records it wants, below the one
// folder that all share:
//   data.pkl      the objects
//   version       the container's, 1 to 10 (or .data/version)
//   byteorder     "little" or "big"; absent: little
//   data/KEY      the storages that data.pkl names
// and ignores others.
//
// Layout: docs/torch_zip_format.md.
// Matches: torch 2.1 `_load` in torch/serialization.py.
// Differs: records in two folders, and a storage shorter than declared, are
//     refused; torch reads past the end of the latter.
absl::StatusOr<TorchFile> ReadTorchZip(ReadAt read, int64_t file_size,
                                       absl::string_view file_name,
                                       bool check_crc);

}  // namespace checkpoint_internal
}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_TORCH_TORCH_ZIP_H_
