#ifndef PRETRAINED_CHECKPOINT_TORCH_ZIP_WRITER_H_
#define PRETRAINED_CHECKPOINT_TORCH_ZIP_WRITER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/file_writer.h"

namespace pretrained {
namespace checkpoint_internal {

// One record of an archive that is being written.
struct ZipEntry {
  std::string name;    // ASCII, with its folders: "archive/data/0".
  int64_t nbytes = 0;  // Of the data, which is stored as it is.
  int64_t offset = 0;  // Of the local header in the file.
  uint32_t crc32 = 0;
};

// Writes a zip archive of stored records whose sizes are known and whose bytes
// stream through.
//
//   ZipWriter zip(&file);                        // at the start of a
//   FileWriter absl::Status s = zip.Add("archive/version", "3\n"); if (s.ok())
//   s = zip.Begin("archive/data/0", 4096); if (s.ok()) s = zip.Append(piece);
//   // until there are 4096 if (s.ok()) s = zip.End(); if (s.ok()) s =
//   zip.Finish();                // then file.Commit()
//
// The data of every record starts at a multiple of kZipAlignment bytes. The
// same records make the same bytes: nothing tells when or where they were
// written. Sizes and offsets that 32 bits cannot hold, and counts that 16
// cannot, are written as zip64.
// Cost: one pass over the data and 4 bytes patched per record, the CRC-32.
// Layout: APPNOTE 6.3; the padding is an extra field "FB", as torch.save's is.
class ZipWriter {
 public:
  explicit ZipWriter(FileWriter* file ABSL_ATTRIBUTE_LIFETIME_BOUND)
      : file_(*file) {}

  // A record of `nbytes` bytes. Each Begin() wants an End().
  absl::Status Begin(absl::string_view name, int64_t nbytes);
  // kInternal for more bytes than Begin() said.
  absl::Status Append(absl::string_view piece);
  // kInternal for fewer.
  absl::Status End();

  // Begin(), Append() and End().
  absl::Status Add(absl::string_view name, absl::string_view bytes);

  // The central directory; nothing may follow.
  absl::Status Finish();

  // In the order they were written.
  absl::Span<const ZipEntry> entries() const ABSL_ATTRIBUTE_LIFETIME_BOUND {
    return entries_;
  }

 private:
  FileWriter& file_;
  std::vector<ZipEntry> entries_;
  int64_t left_ = 0;  // Bytes that the record still wants.
};

// Where the data of a record starts is a multiple of this, as in torch's files.
inline constexpr int64_t kZipAlignment = 64;

// The local header of `entry`, with as much padding as its offset calls for.
std::string ZipLocalHeader(const ZipEntry& entry);

// What follows the last record, from byte `offset` of the file to its end.
std::string ZipDirectoryBytes(absl::Span<const ZipEntry> entries,
                              int64_t offset);

}  // namespace checkpoint_internal
}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_TORCH_ZIP_WRITER_H_
