#ifndef PRETRAINED_CHECKPOINT_TORCH_ZIP_END_H_
#define PRETRAINED_CHECKPOINT_TORCH_ZIP_END_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "checkpoint/torch/read_at.h"

namespace pretrained {
namespace checkpoint_internal {

// Where a zip archive's central directory is.
struct ZipDirectoryPlace {
  int64_t begin = 0;  // Bytes [begin, end) of the file,
  int64_t end = 0;
  int64_t count = 0;  // with so many records, for which there is room.
};

// Finds the central directory by the records at the end of a file of
// `file_size` bytes, zip64 ones too.
//   kDataLoss       there is none, or not where those records say
//   kUnimplemented  an archive on several disks
absl::StatusOr<ZipDirectoryPlace> FindZipDirectory(ReadAt read,
                                                   int64_t file_size,
                                                   absl::string_view file_name);

// The errors of archives: `what` contradicts itself (kDataLoss), or is valid
// and not read here (kUnimplemented).
absl::Status BadZip(absl::string_view file_name, absl::string_view what);
absl::Status UnreadZip(absl::string_view file_name, absl::string_view what);

// Bytes of a record of the directory without name, extra fields and comment.
inline constexpr int64_t kZipCentralBytes = 46;

}  // namespace checkpoint_internal
}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_TORCH_ZIP_END_H_
