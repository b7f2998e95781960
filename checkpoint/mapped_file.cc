#include "checkpoint/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"

namespace pretrained {
namespace {

// Linux moves at most this much in one pread().
constexpr size_t kMaxReadBytes = 0x7ffff000;

// `error` is the errno that opening `path` left behind.
absl::Status OpenError(const std::string& path, int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      if (struct stat info; lstat(path.c_str(), &info) == 0) {
        return absl::NotFoundError(absl::StrCat(
            path,
            ": is a symbolic link to a file that is not there; download "
            "or copy the file again"));
      }
      return absl::NotFoundError(
          absl::StrCat(path, ": there is no such file; check the path"));
    case EACCES:
    case EPERM:
      return absl::PermissionDeniedError(absl::StrCat(
          path,
          ": may not be read by this user; change the permissions of "
          "the file and of the folders above it (chmod, chown)"));
    case ENXIO:
      return absl::InvalidArgumentError(absl::StrCat(
          path, ": is a socket or a device, not a file; name a file"));
    case EMFILE:
    case ENFILE:
      return absl::ResourceExhaustedError(absl::StrCat(
          path, ": too many files are open; raise the limit (ulimit -n)"));
    default:
      return absl::ErrnoToStatus(error, absl::StrCat(path, ": cannot open"));
  }
}

absl::string_view KindOf(mode_t mode) {
  if (S_ISDIR(mode)) return "a folder";
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

}  // namespace

absl::StatusOr<std::unique_ptr<MappedFile>> MappedFile::Open(
    const std::string& path) {
  if (path.empty()) {
    return absl::InvalidArgumentError("the path is empty; name a file");
  }
  if (path.find('\0') != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat(
        path.c_str(), ": the path goes on after a NUL byte; name a file"));
  }
  int fd;
  do {
    // O_NONBLOCK: opening a pipe that nobody writes to would wait for ever.
    fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return OpenError(path, errno);

  struct stat info;
  if (fstat(fd, &info) != 0) {
    const absl::Status status = OpenError(path, errno);
    close(fd);
    return status;
  }
  if (!S_ISREG(info.st_mode)) {
    close(fd);
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": is ", KindOf(info.st_mode), ", not a file; name a file"));
  }
  return absl::WrapUnique(new MappedFile(path, fd, info.st_size));
}

MappedFile::MappedFile(std::string path, int fd, int64_t size_bytes)
    : path_(std::move(path)), fd_(fd), size_bytes_(size_bytes) {}

MappedFile::~MappedFile() { close(fd_); }

absl::Status MappedFile::Read(int64_t offset,
                              absl::Span<char> destination) const {
  if (offset < 0 || offset > size_bytes_ ||
      destination.size() > static_cast<uint64_t>(size_bytes_ - offset)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path_, ": ", destination.size(), " bytes from byte ",
                     offset, " on do not lie within its ", size_bytes_));
  }
  while (!destination.empty()) {
    const ssize_t n =
        pread(fd_, destination.data(),
              std::min(destination.size(), kMaxReadBytes), offset);
    if (n > 0) {
      destination.remove_prefix(n);
      offset += n;
    } else if (n == 0) {
      return absl::DataLossError(absl::StrCat(
          path_, ": cut short while being read: it had ", size_bytes_,
          " bytes when opened and now ends at or before byte ", offset,
          "; let nothing write to it, and load again"));
    } else if (errno != EINTR) {
      const int error = errno;
      return absl::Status(error == EIO ? absl::StatusCode::kDataLoss
                                       : absl::ErrnoToStatusCode(error),
                          absl::StrCat(path_, ": reading at byte ", offset,
                                       ": ", std::strerror(error)));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<char>> MappedFile::Map() const {
  absl::MutexLock lock(&mutex_);
  if (map_ != nullptr || size_bytes_ == 0) return map_;
  const size_t size = static_cast<size_t>(size_bytes_);
  // MAP_NORESERVE: a checkpoint larger than memory can be mapped, for only
  // pages that are written to ever need memory of their own.
  void* const base = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_NORESERVE, fd_, 0);
  if (base == MAP_FAILED) {
    const int error = errno;
    return absl::Status(error == ENOMEM ? absl::StatusCode::kResourceExhausted
                                        : absl::ErrnoToStatusCode(error),
                        absl::StrCat(path_, ": mapping its ", size,
                                     " bytes: ", std::strerror(error),
                                     "; load without mapping"));
  }
  map_ = std::shared_ptr<char>(static_cast<char*>(base),
                               [size](char* p) { munmap(p, size); });
  return map_;
}

absl::Status MappedFile::CheckUnchanged() const {
  struct stat info;
  if (fstat(fd_, &info) != 0) return OpenError(path_, errno);
  if (info.st_size != size_bytes_) {
    return absl::DataLossError(absl::StrCat(
        path_, ": has ", info.st_size, " bytes, but had ", size_bytes_,
        " when opened: what was read from it may be wrong; let nothing write "
        "to it, and load again"));
  }
  return absl::OkStatus();
}

}  // namespace pretrained
