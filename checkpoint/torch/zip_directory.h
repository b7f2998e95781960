#ifndef PRETRAINED_CHECKPOINT_TORCH_ZIP_DIRECTORY_H_
#define PRETRAINED_CHECKPOINT_TORCH_ZIP_DIRECTORY_H_

#include <cstdint>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/torch/read_at.h"

namespace pretrained {
namespace checkpoint_internal {

// One record of a zip archive, and where its bytes are.
struct ZipRecord {
  absl::string_view name;  // With its folders: "archive/data/0".
  int64_t begin = 0;       // Its data, as stored, are bytes [begin, end) of the
  int64_t end = 0;         // file.
  int64_t size = 0;        // Of the data once inflated.
  uint32_t crc32 = 0;      // Of the data once inflated.
  bool deflated = false;   // Otherwise stored: size is end - begin.
};

// What is where in a zip archive: its central directory, held against the local
// header of every record.
//
//   auto zip = ZipDirectory::Read(read, file_size, "pytorch_model.bin");
//   if (!zip.ok()) return zip.status();
//   const ZipRecord* pickle = zip->Find("archive/data.pkl");  // or null
//
// The file is not trusted. Once Read() returns OK, every record lies inside the
// file, none overlaps another or the directory, each name occurs once and is
// the same in both places, and a record's size is one its stored bytes can
// have.
//
// Cost: memory in proportion to the central directory. Local headers near each
//     other are read together, others by one small read each.
// Threads: immutable; any number of threads may share one.
// Lifetime: names live as long as the directory, also when it is moved.
// Layout: docs/torch_zip_format.md.
// Matches: torch 2.1 `PyTorchFileReader`, and with it miniz.
// Differs: torch follows the central directory alone, whatever the local
//     headers say, and lets records overlap.
class ZipDirectory {
 public:
  // Reads through `read` the directory of a file of `file_size` bytes;
  // `file_name` serves only in messages.
  //   kDataLoss       the file is cut short or contradicts itself
  //   kUnimplemented  encryption, several disks, another compression
  //   and whatever `read` returns
  static absl::StatusOr<ZipDirectory> Read(ReadAt read, int64_t file_size,
                                           absl::string_view file_name);

  ZipDirectory(ZipDirectory&&) = default;
  ZipDirectory& operator=(ZipDirectory&&) = default;
  ZipDirectory(const ZipDirectory&) = delete;  // Names are views into text_.
  ZipDirectory& operator=(const ZipDirectory&) = delete;

  // In the order of the central directory.
  absl::Span<const ZipRecord> records() const ABSL_ATTRIBUTE_LIFETIME_BOUND {
    return records_;
  }

  // The record of this whole name; null if there is none.
  const ZipRecord* Find(absl::string_view name) const
      ABSL_ATTRIBUTE_LIFETIME_BOUND;

 private:
  ZipDirectory() = default;

  std::vector<char> text_;  // The central directory; records_ point into it.
  std::vector<ZipRecord> records_;
  absl::flat_hash_map<absl::string_view, uint32_t> record_by_name_;
};

}  // namespace checkpoint_internal
}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_TORCH_ZIP_DIRECTORY_H_
