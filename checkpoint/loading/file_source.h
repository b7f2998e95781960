#ifndef PRETRAINED_CHECKPOINT_LOADING_FILE_SOURCE_H_
#define PRETRAINED_CHECKPOINT_LOADING_FILE_SOURCE_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace pretrained {

// Where the bytes of one file come from: the seam between a reader and the
// system, so that slow storage, short reads and failing disks can be had
// without any.
// Threads: any number may read at a time.
class FileSource {
 public:
  virtual ~FileSource() = default;

  // As pread(2): up to `size` bytes from byte `offset` on; returns how many, 0
  // beyond the end, or -errno.
  virtual ssize_t ReadAt(char* data, size_t size, int64_t offset) const = 0;

  // What addresses, sizes and offsets must be multiples of; 1 for any.
  virtual int64_t alignment() const { return 1; }

  virtual const std::string& path() const = 0;
};

// The file that is open as `fd`, through the page cache. The descriptor stays
// the caller's, and outlives the source. `path` is for messages.
std::unique_ptr<FileSource> BufferedSource(int fd, std::string path);

// The same file, whatever became of its path, opened once more for reads around
// the page cache, straight into the reader's memory (O_DIRECT).
// kUnimplemented if it cannot be read so; read it buffered.
absl::StatusOr<std::unique_ptr<FileSource>> DirectSource(
    int fd, const std::string& path);

// What sizes, offsets and addresses of direct reads are multiples of here: of
// the file systems and disks that there are, what the most demanding ones want.
inline constexpr int64_t kDirectAlignment = 4096;

// Reads [begin, end), all of which the file has, to `data`, however many calls
// that takes. Of a source with an alignment, `begin` and `data` are multiples
// of it, and up to `end` rounded up may be written.
//   kDataLoss  the file ends before `end`: it was cut short; or the disk failed
//   otherwise  what the system said, with file and offset
absl::Status ReadRange(const FileSource& source, int64_t begin, int64_t end,
                       char* data);

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_LOADING_FILE_SOURCE_H_
