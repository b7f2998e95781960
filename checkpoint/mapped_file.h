#ifndef PRETRAINED_CHECKPOINT_MAPPED_FILE_H_
#define PRETRAINED_CHECKPOINT_MAPPED_FILE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/attributes.h"
#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"

namespace pretrained {

// One regular file, open for reading: by copy (Read) or by memory map (Map).
//
//   auto file = MappedFile::Open("model.safetensors");
//   if (!file.ok()) return file.status();
//   absl::Status s = (*file)->Read(/*offset=*/8, absl::MakeSpan(buffer));
//   auto bytes = (*file)->Map();   // char* into the file; nothing is copied
//
// Read() of a file that was cut short since it was opened is a kDataLoss; a
// map of such a file is undefined beyond its new end, as with any mapping:
// whoever maps calls CheckUnchanged() once done.
// Cost: an open file descriptor. The first Map() maps the whole file, which
//     takes address space and no memory; pages come as they are touched.
// Threads: any number of threads may use one.
// Lifetime: mapped bytes live as long as the shared_ptr that Map() returned,
//     which may outlive the MappedFile.
class MappedFile {
 public:
  // Opens the regular file at `path`, following symbolic links.
  //   kNotFound          there is no such file
  //   kPermissionDenied  it is there, and may not be read
  //   kInvalidArgument   a folder, a pipe, a device, a socket
  static absl::StatusOr<std::unique_ptr<MappedFile>> Open(
      const std::string& path);

  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::string& path() const ABSL_ATTRIBUTE_LIFETIME_BOUND {
    return path_;
  }
  // As it was when opened.
  int64_t size_bytes() const { return size_bytes_; }

  // Open for reading, as long as this lives.
  int fd() const { return fd_; }

  // Fills `destination` from byte `offset` on.
  //   kDataLoss         the file ends before: it was cut short meanwhile
  //   kInvalidArgument  the range was never inside the file
  absl::Status Read(int64_t offset, absl::Span<char> destination) const;

  // The first byte of the file in memory; null for an empty file. Pages are
  // private copy-on-write ones: writing to them never reaches the file.
  absl::StatusOr<std::shared_ptr<char>> Map() const ABSL_LOCKS_EXCLUDED(mutex_);

  // kDataLoss if the file is no longer as long as it was when opened.
  absl::Status CheckUnchanged() const;

 private:
  MappedFile(std::string path, int fd, int64_t size_bytes);

  const std::string path_;
  const int fd_;
  const int64_t size_bytes_;

  mutable absl::Mutex mutex_;
  mutable std::shared_ptr<char> map_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_MAPPED_FILE_H_
