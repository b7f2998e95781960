#ifndef PRETRAINED_CHECKPOINT_TORCH_TORCH_FILE_H_
#define PRETRAINED_CHECKPOINT_TORCH_TORCH_FILE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "checkpoint/torch/read_at.h"
#include "checkpoint/torch/torch_objects.h"
#include "checkpoint/torch/zip_directory.h"

namespace pretrained {
namespace checkpoint_internal {

// Where a storage's bytes are. `size` may be more than the pickle declares,
// and is never less.
struct StoredBytes {
  int64_t begin = 0;  // Bytes [begin, end) of the file: `size` of them, or what
  int64_t end = 0;    // inflates to as many.
  int64_t size = 0;
  bool deflated = false;
};

// All that one file of torch.save holds.
struct TorchFile {
  bool legacy = false;      // The container before PyTorch 1.6.
  bool big_endian = false;  // Byte order of the storages' numbers.
  TorchObjects objects;
  std::vector<StoredBytes> storages;  // One for each of objects.storages.
};

// Reads what a file of `file_size` bytes holds, of either container; no byte of
// a storage but for `check_crc`, which checks the CRC-32 of each record that is
// used. `file_name` serves only in messages.
//   kDataLoss         no checkpoint, or one cut short or contradictory
//   kPermissionDenied a pickle that can only be there to execute something
//   kUnimplemented    TorchScript, the tar container of the first PyTorch,
//                     and what ReadTorchObjects() does not read
//   kResourceExhausted limits of pickle.h
absl::StatusOr<TorchFile> ReadTorchFile(ReadAt read, int64_t file_size,
                                        absl::string_view file_name,
                                        bool check_crc);

}  // namespace checkpoint_internal
}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_TORCH_TORCH_FILE_H_
