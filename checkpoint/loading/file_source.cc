#include "checkpoint/loading/file_source.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace pretrained {
namespace {

// Linux moves at most this much in one pread(); a multiple of kDirectAlignment.
constexpr int64_t kMaxReadBytes = 0x7ffff000;

class OpenFile final : public FileSource {
 public:
  // With `owns_fd`, closes it at the end.
  OpenFile(std::string path, int fd, bool owns_fd, int64_t alignment)
      : path_(std::move(path)),
        fd_(fd),
        owns_fd_(owns_fd),
        alignment_(alignment) {}
  ~OpenFile() override {
    if (owns_fd_) close(fd_);
  }

  ssize_t ReadAt(char* data, size_t size, int64_t offset) const override {
    const ssize_t count = pread(fd_, data, size, offset);
    return count < 0 ? -errno : count;
  }
  int64_t alignment() const override { return alignment_; }
  const std::string& path() const override { return path_; }

 private:
  const std::string path_;
  const int fd_;
  const bool owns_fd_;
  const int64_t alignment_;
};

absl::Status ReadFailed(const FileSource& source, int64_t begin, int64_t end,
                        int64_t error) {
  const int code = static_cast<int>(error);
  return absl::Status(
      code == EIO ? absl::StatusCode::kDataLoss : absl::ErrnoToStatusCode(code),
      absl::StrCat(source.path(), ": cannot read bytes ", begin, " to ", end,
                   ": ", std::strerror(code)));
}

}  // namespace

std::unique_ptr<FileSource> BufferedSource(int fd, std::string path) {
  return std::make_unique<OpenFile>(std::move(path), fd, /*owns_fd=*/false,
                                    /*alignment=*/1);
}

absl::StatusOr<std::unique_ptr<FileSource>> DirectSource(
    int fd, const std::string& path) {
  // This name leads to the file itself, also when its own name is gone or
  // another file's by now.
  const std::string self = absl::StrCat("/proc/self/fd/", fd);
  const int direct = open(self.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT);
  if (direct < 0) {
    return absl::UnimplementedError(
        absl::StrCat(path, ": cannot be opened for direct reads (",
                     std::strerror(errno), "); read it buffered"));
  }
  return std::make_unique<OpenFile>(path, direct, /*owns_fd=*/true,
                                    kDirectAlignment);
}

absl::Status ReadRange(const FileSource& source, int64_t begin, int64_t end,
                       char* data) {
  const int64_t alignment = source.alignment();
  int64_t offset = begin;
  while (offset < end) {
    // The rest, in whole blocks where that is asked for.
    int64_t size = (end - offset + alignment - 1) / alignment * alignment;
    size = std::min(size, kMaxReadBytes);
    const ssize_t count = source.ReadAt(data + (offset - begin), size, offset);
    if (count == -EINTR || count == -EAGAIN) continue;
    if (count < 0) return ReadFailed(source, offset, end, -count);
    offset += count;
    if (offset >= end) break;
    // A read may end early, but only at the file's end within a block: what
    // follows a part of a block cannot be asked for.
    if (count == 0 || count % alignment != 0) {
      return absl::DataLossError(absl::StrCat(
          source.path(), ": ends at byte ", offset, ", but bytes up to ", end,
          " are expected; do not change a checkpoint while it is loaded"));
    }
  }
  return absl::OkStatus();
}

}  // namespace pretrained
