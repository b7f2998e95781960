#include "checkpoint/loading/file_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "checkpoint/checkpoint.h"

namespace pretrained {
namespace {

// Linux moves at most this much in one pread(); a multiple of kDirectAlignment.
constexpr int64_t kMaxReadBytes = 0x7ffff000;

class OpenFile final : public FileSource {
 public:
  OpenFile(std::string path, int fd, int64_t alignment)
      : path_(std::move(path)), fd_(fd), alignment_(alignment) {}
  ~OpenFile() override { close(fd_); }

  ssize_t ReadAt(char* data, size_t size, int64_t offset) const override {
    const ssize_t count = pread(fd_, data, size, offset);
    return count < 0 ? -errno : count;
  }
  int64_t alignment() const override { return alignment_; }
  const std::string& path() const override { return path_; }

 private:
  const std::string path_;
  const int fd_;
  const int64_t alignment_;
};

absl::Status CutShort(const std::string& path, int64_t size, int64_t expected) {
  return absl::DataLossError(absl::StrCat(
      path, ": is ", size, " bytes long now, but was ", expected,
      " when it was opened; do not change a checkpoint while it is loaded"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<FileSource>> OpenFileSource(
    const CheckpointFile& file, ReadMode mode) {
  const bool direct = mode == ReadMode::kDirect;
  const int flags = O_RDONLY | O_CLOEXEC | (direct ? O_DIRECT : 0);
  const int fd = open(file.path.c_str(), flags);
  if (fd < 0) {
    if (direct && errno == EINVAL) {
      return absl::UnimplementedError(
          absl::StrCat(file.path,
                       ": its file system has no direct reads; read it "
                       "buffered"));
    }
    return absl::ErrnoToStatus(errno, absl::StrCat(file.path, ": cannot open"));
  }
  auto source =
      std::make_unique<OpenFile>(file.path, fd, direct ? kDirectAlignment : 1);
  struct stat info;
  if (fstat(fd, &info) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat(file.path, ": cannot stat"));
  }
  if (info.st_size != file.size_bytes) {
    return CutShort(file.path, info.st_size, file.size_bytes);
  }
  return source;
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
    if (count < 0) {
      return absl::ErrnoToStatus(
          static_cast<int>(-count),
          absl::StrCat(source.path(), ": cannot read bytes ", offset, " to ",
                       end));
    }
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
