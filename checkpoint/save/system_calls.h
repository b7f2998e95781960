#ifndef PRETRAINED_CHECKPOINT_SAVE_SYSTEM_CALLS_H_
#define PRETRAINED_CHECKPOINT_SAVE_SYSTEM_CALLS_H_

#include <sys/types.h>

#include <cstdint>
#include <ctime>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace pretrained {
namespace checkpoint_internal {

// The system calls that change what a folder holds, each behind a function that
// returns 0 or an errno, so that a test can stand before and after every one of
// them.
//
//   Fd folder;
//   if (int error = OpenFolder(AT_FDCWD, "model", folder)) ..
//   error = RenameAt(staging.get(), "a.bin", folder.get(), "a.bin");
//
// Names are relative to the folder open as the int before them; none of these
// functions follows a symbolic link that the last part of a name is.
// Threads: any number; the hook is one for the process.

// An open file that is closed when this goes.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept;
  ~Fd();

  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

// Called with a call's name ("rename", "fsync", ..) before it (`made` is false)
// and after it. What it returns before, if not 0, becomes the call's errno, and
// the call is not made.
using SystemCallHook = int (*)(absl::string_view call, bool made);
void SetSystemCallHookForTesting(SystemCallHook hook);  // null: none.

// As open(2), with O_CLOEXEC and O_NOFOLLOW; OpenFolder() only opens folders.
int OpenFile(int folder, const std::string& name, int flags, Fd& fd);
int OpenFolder(int folder, const std::string& name, Fd& fd);

int MakeFolder(int folder, const std::string& name, mode_t mode);
int LinkAt(int from, const std::string& from_name, int to,
           const std::string& to_name);
int RenameAt(int from, const std::string& from_name, int to,
             const std::string& to_name);
// As RenameAt(), but EEXIST where the new name is taken. Where the file system
// cannot promise that, only a file or a folder with content is sure to stay.
int RenameToFreeName(int from, const std::string& from_name, int to,
                     const std::string& to_name);
// Swaps two names in one step.
int ExchangeAt(int a, const std::string& a_name, int b,
               const std::string& b_name);
int UnlinkAt(int folder, const std::string& name);
int RemoveEmptyFolder(int folder, const std::string& name);

int WriteAll(int fd, absl::string_view bytes);
// File systems that sync no folders (some network ones) are taken at that.
int SyncFolder(int fd);
int SyncFile(int fd);
// Takes the lock of flock(2), without waiting: EWOULDBLOCK where another open
// file has it.
int LockFile(int fd);
int SetOwner(int fd, uid_t user, gid_t group);
int SetMode(int fd, mode_t mode);
int SetTimes(int fd, const timespec& accessed, const timespec& modified);

// Copies a file, synced, to a new name: for where a rename does not reach.
int CopyFileAt(int from, const std::string& from_name, int to,
               const std::string& to_name);

// Calls that change nothing, and which no hook sees.

struct FolderEntry {
  std::string name;
  bool is_folder = false;
};
// Without "." and "..", by name.
int ListFolder(int folder, std::vector<FolderEntry>& entries);

// The inode of `name`, 0 if there is none.
uint64_t InodeOf(int folder, const std::string& name);

// Up to `max_bytes` + 1 bytes of the open file.
int ReadUpTo(int fd, size_t max_bytes, std::string& bytes);

// Whether the open folder is the root of a mounted file system, or of one that
// is bound there.
bool IsMountPoint(int fd);

// True for the errors by which a file system or its rules refuse a kind of call
// (as opposed to a call that failed): another way may do.
bool IsRefusal(int error);

// "PATH: cannot be DOING: <the errno's text>", with what to do where the disk
// is full.
absl::Status CallFailed(absl::string_view path, absl::string_view doing,
                        int error);

}  // namespace checkpoint_internal
}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_SAVE_SYSTEM_CALLS_H_
