#include "checkpoint/save/system_calls.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

// Linux writes at most this much a call.
constexpr size_t kMaxWriteBytes = size_t{1} << 30;

// A piece of a file that is copied.
constexpr size_t kCopyBytes = size_t{1} << 22;

std::atomic<SystemCallHook> g_hook = nullptr;

// Makes the call `name`, which `call` does and which fails by returning -1,
// again where a signal cut it short.
template <typename Call>
int Hooked(absl::string_view name, const Call& call) {
  const SystemCallHook hook = g_hook.load(std::memory_order_acquire);
  if (hook != nullptr) {
    if (const int error = hook(name, false); error != 0) return error;
  }
  int error;
  do {
    error = call() == -1 ? errno : 0;
  } while (error == EINTR);
  if (hook != nullptr) hook(name, true);
  return error;
}

}  // namespace

Fd& Fd::operator=(Fd&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

Fd::~Fd() {
  if (fd_ >= 0) close(fd_);
}

void SetSystemCallHookForTesting(SystemCallHook hook) {
  g_hook.store(hook, std::memory_order_release);
}

int OpenFile(int folder, const std::string& name, int flags, Fd& fd) {
  int opened = -1;
  const int error = Hooked("open", [&] {
    return opened = openat(folder, name.c_str(), flags | O_CLOEXEC | O_NOFOLLOW,
                           0666);
  });
  fd = Fd(opened);
  return error;
}

int OpenFolder(int folder, const std::string& name, Fd& fd) {
  return OpenFile(folder, name, O_RDONLY | O_DIRECTORY, fd);
}

int MakeFolder(int folder, const std::string& name, mode_t mode) {
  return Hooked("mkdir", [&] { return mkdirat(folder, name.c_str(), mode); });
}

int LinkAt(int from, const std::string& from_name, int to,
           const std::string& to_name) {
  return Hooked("link", [&] {
    return linkat(from, from_name.c_str(), to, to_name.c_str(), 0);
  });
}

int RenameAt(int from, const std::string& from_name, int to,
             const std::string& to_name) {
  return Hooked("rename", [&] {
    return renameat(from, from_name.c_str(), to, to_name.c_str());
  });
}

int RenameToFreeName(int from, const std::string& from_name, int to,
                     const std::string& to_name) {
  const int error = Hooked("rename_noreplace", [&] {
    return renameat2(from, from_name.c_str(), to, to_name.c_str(),
                     RENAME_NOREPLACE);
  });
  if (error != EINVAL && error != ENOSYS) return error;
  struct stat info;
  if (fstatat(to, to_name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0) {
    return EEXIST;
  }
  return RenameAt(from, from_name, to, to_name);
}

int ExchangeAt(int a, const std::string& a_name, int b,
               const std::string& b_name) {
  return Hooked("exchange", [&] {
    return renameat2(a, a_name.c_str(), b, b_name.c_str(), RENAME_EXCHANGE);
  });
}

int UnlinkAt(int folder, const std::string& name) {
  return Hooked("unlink", [&] { return unlinkat(folder, name.c_str(), 0); });
}

int RemoveEmptyFolder(int folder, const std::string& name) {
  return Hooked("rmdir",
                [&] { return unlinkat(folder, name.c_str(), AT_REMOVEDIR); });
}

int WriteAll(int fd, absl::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t written = 0;
    const int error = Hooked("write", [&] {
      return written = write(fd, bytes.data(),
                             std::min(bytes.size(), kMaxWriteBytes));
    });
    if (error != 0) return error;
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return 0;
}

int SyncFolder(int fd) {
  const int error = Hooked("fsync", [&] { return fsync(fd); });
  return error == EINVAL || error == ENOTSUP ? 0 : error;
}

int SyncFile(int fd) {
  return Hooked("fsync", [&] { return fsync(fd); });
}

int LockFile(int fd) {
  return Hooked("flock", [&] { return flock(fd, LOCK_EX | LOCK_NB); });
}

int SetOwner(int fd, uid_t user, gid_t group) {
  return Hooked("chown", [&] { return fchown(fd, user, group); });
}

int SetMode(int fd, mode_t mode) {
  return Hooked("chmod", [&] { return fchmod(fd, mode); });
}

int SetTimes(int fd, const timespec& accessed, const timespec& modified) {
  const timespec times[2] = {accessed, modified};
  return Hooked("utimens", [&] { return futimens(fd, times); });
}

int CopyFileAt(int from, const std::string& from_name, int to,
               const std::string& to_name) {
  Fd source, copy;
  if (const int error = OpenFile(from, from_name, O_RDONLY, source)) {
    return error;
  }
  if (const int error =
          OpenFile(to, to_name, O_WRONLY | O_CREAT | O_EXCL, copy)) {
    return error;
  }
  std::vector<char> piece(kCopyBytes);
  while (true) {
    const ssize_t got = read(source.get(), piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno;
    if (got == 0) return SyncFile(copy.get());
    const absl::string_view bytes(piece.data(), static_cast<size_t>(got));
    if (const int error = WriteAll(copy.get(), bytes)) return error;
  }
}

int ListFolder(int folder, std::vector<FolderEntry>& entries) {
  entries.clear();
  // Opened anew, for the position in a folder belongs to the open file.
  const int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return errno;
  DIR* const stream = fdopendir(fd);
  if (stream == nullptr) {
    const int error = errno;
    close(fd);
    return error;
  }
  int error = 0;
  while (true) {
    errno = 0;
    const dirent* const entry = readdir(stream);
    if (entry == nullptr) {
      error = errno;
      break;
    }
    const absl::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    bool is_folder = entry->d_type == DT_DIR;
    if (entry->d_type == DT_UNKNOWN) {  // Some file systems do not say.
      struct stat info;
      is_folder = fstatat(fd, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
                  S_ISDIR(info.st_mode);
    }
    entries.push_back({.name = std::string(name), .is_folder = is_folder});
  }
  closedir(stream);
  std::sort(entries.begin(), entries.end(),
            [](const FolderEntry& a, const FolderEntry& b) {
              return a.name < b.name;
            });
  return error;
}

uint64_t InodeOf(int folder, const std::string& name) {
  struct stat info;
  if (fstatat(folder, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return 0;
  return info.st_ino;
}

int ReadUpTo(int fd, size_t max_bytes, std::string& bytes) {
  bytes.clear();
  char piece[1 << 16];
  while (bytes.size() <= max_bytes) {
    const size_t want = std::min(sizeof(piece), max_bytes + 1 - bytes.size());
    const ssize_t got = read(fd, piece, want);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno;
    if (got == 0) break;
    bytes.append(piece, static_cast<size_t>(got));
  }
  return 0;
}

bool IsMountPoint(int fd) {
  struct statx info;
  return statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &info) == 0 &&
         (info.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) != 0 &&
         (info.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

bool IsRefusal(int error) {
  switch (error) {
    case EXDEV:
    case EINVAL:
    case EBUSY:
    case EPERM:
    case EACCES:
    case EROFS:
    case ENOSYS:
    case ENOTSUP:
    case EMLINK:
    case EMFILE:
      return true;
    default:
      return false;
  }
}

absl::Status CallFailed(absl::string_view path, absl::string_view doing,
                        int error) {
  const absl::Status status =
      absl::ErrnoToStatus(error, absl::StrCat(path, ": cannot be ", doing));
  if (error == ENOSPC || error == EDQUOT) {
    return absl::ResourceExhaustedError(
        absl::StrCat(status.message(), "; free some space and try again"));
  }
  return status;
}

}  // namespace checkpoint_internal
}  // namespace pretrained
