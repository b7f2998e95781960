#include "checkpoint/save/folder_tree.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "checkpoint/save/system_calls.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

// Times that a folder is emptied before whoever keeps filling it has won.
constexpr int kMaxRemovals = 3;

// Attributes of a folder (chattr) which a new one does not have, and whose loss
// would change what the files in it are.
constexpr int kFolderFlags = FS_IMMUTABLE_FL | FS_APPEND_FL | FS_COMPR_FL |
                             FS_NOCOMP_FL | FS_ENCRYPT_FL | FS_NOCOW_FL |
                             FS_PROJINHERIT_FL | FS_CASEFOLD_FL | FS_DAX_FL |
                             FS_SYNC_FL | FS_DIRSYNC_FL;

// 0 where the file system has no such flags.
int FlagsOf(int folder) {
  int flags = 0;
  if (ioctl(folder, FS_IOC_GETFLAGS, &flags) != 0) return 0;
  return flags & kFolderFlags;
}

// The names of the extended attributes of `fd`, access lists among them.
int ListAttributes(int fd, absl::flat_hash_set<std::string>& names) {
  std::string text(1 << 16, '\0');  // As many bytes as the kernel allows.
  const ssize_t size = flistxattr(fd, text.data(), text.size());
  if (size < 0) return errno == ENOTSUP ? 0 : errno;
  for (ssize_t at = 0; at < size;) {
    const std::string name = text.c_str() + at;
    at += static_cast<ssize_t>(name.size()) + 1;
    names.insert(name);
  }
  return 0;
}

int AttributeOf(int fd, const std::string& name, std::string& value) {
  value.assign(1 << 16, '\0');
  const ssize_t size = fgetxattr(fd, name.c_str(), value.data(), value.size());
  if (size < 0) return errno;
  value.resize(static_cast<size_t>(size));
  return 0;
}

int CopyAttributes(int from, int to) {
  absl::flat_hash_set<std::string> wanted, present;
  if (const int error = ListAttributes(from, wanted)) return error;
  if (const int error = ListAttributes(to, present)) return error;
  for (const std::string& name : wanted) {
    std::string value, old;
    if (const int error = AttributeOf(from, name, value)) return error;
    if (AttributeOf(to, name, old) == 0 && old == value) continue;
    if (fsetxattr(to, name.c_str(), value.data(), value.size(), 0) != 0) {
      return errno;
    }
  }
  for (const std::string& name : present) {
    if (wanted.contains(name)) continue;
    if (fremovexattr(to, name.c_str()) != 0) return errno;
  }
  return 0;
}

// Makes the folder `to` what `from` is, but for what it holds. EPERM where that
// takes more than this process may do.
int CopyFolderTraits(int from, int to) {
  struct stat old, made;
  if (fstat(from, &old) != 0 || fstat(to, &made) != 0) return errno;
  if (old.st_uid != made.st_uid || old.st_gid != made.st_gid) {
    if (const int error = SetOwner(to, old.st_uid, old.st_gid)) return error;
  }
  if (const int error = CopyAttributes(from, to)) return error;
  if (const int error = SetMode(to, old.st_mode & 07777)) return error;
  return FlagsOf(from) == FlagsOf(to) ? 0 : EPERM;
}

std::string Below(const std::string& prefix, const std::string& name) {
  return prefix.empty() ? name : absl::StrCat(prefix, "/", name);
}

// MakeTwin() of one folder, and of the folders in it.
class Twinner {
 public:
  Twinner(InodeByPath& kept, std::string& where) : kept_(kept), where_(where) {}

  int Fill(int original, int twin, const std::string& prefix,
           const absl::flat_hash_set<std::string>& left_out) {
    std::vector<FolderEntry> entries;
    if (const int error = ListFolder(original, entries)) {
      return At(prefix, error);
    }
    for (const FolderEntry& entry : entries) {
      if (left_out.contains(entry.name)) continue;
      const std::string path = Below(prefix, entry.name);
      const int error = entry.is_folder
                            ? MakeFolderTwin(original, twin, path, entry.name)
                            : LinkAt(original, entry.name, twin, entry.name);
      if (error == ENOENT) continue;  // Gone meanwhile.
      if (error != 0) return At(path, error);
      kept_[path] = InodeOf(entry.is_folder ? original : twin, entry.name);
    }
    return 0;
  }

 private:
  int MakeFolderTwin(int original, int twin, const std::string& path,
                     const std::string& name) {
    Fd from, to;
    if (const int error = OpenFolder(original, name, from)) return error;
    if (IsMountPoint(from.get())) return EXDEV;
    // Open to none but us until it is what the original is.
    if (const int error = MakeFolder(twin, name, 0700)) return error;
    if (const int error = OpenFolder(twin, name, to)) return error;
    struct stat info;
    if (fstat(from.get(), &info) != 0) return errno;
    if (const int error = Fill(from.get(), to.get(), path, {})) return error;
    if (const int error = CopyFolderTraits(from.get(), to.get())) return error;
    if (const int error = SetTimes(to.get(), info.st_atim, info.st_mtim)) {
      return error;
    }
    return SyncFolder(to.get());
  }

  int At(const std::string& path, int error) {
    if (where_.empty()) where_ = path;
    return error;
  }

  InodeByPath& kept_;
  std::string& where_;
};

// RescueNewcomers() of one folder, and of the folders in it.
class Rescuer {
 public:
  Rescuer(const InodeByPath& kept, std::string& where)
      : kept_(kept), where_(where) {}

  int Rescue(int original, int current, const std::string& prefix,
             const absl::flat_hash_set<std::string>& replaced) {
    std::vector<FolderEntry> entries;
    if (const int error = ListFolder(original, entries)) {
      where_ = prefix;
      return error;
    }
    for (const FolderEntry& entry : entries) {
      if (replaced.contains(entry.name)) continue;
      const std::string path = Below(prefix, entry.name);
      const int error = RescueOne(original, current, path, entry);
      // Where it is taken since, the later one stays; gone is gone.
      if (error == 0 || error == EEXIST || error == ENOENT) continue;
      if (where_.empty()) where_ = path;
      return error;
    }
    return 0;
  }

 private:
  int RescueOne(int original, int current, const std::string& path,
                const FolderEntry& entry) {
    const auto it = kept_.find(path);
    const uint64_t noted = it == kept_.end() ? 0 : it->second;
    const uint64_t inode = InodeOf(original, entry.name);
    const uint64_t taken = InodeOf(current, entry.name);
    if (entry.is_folder) {
      if (noted != inode && taken == 0) {
        return RenameToFreeName(original, entry.name, current, entry.name);
      }
      Fd from, to;
      if (const int error = OpenFolder(original, entry.name, from)) {
        return error;
      }
      const int error = OpenFolder(current, entry.name, to);
      // Removed, or made a file of, since the switch: that stands.
      if (error == ENOENT || error == ENOTDIR || error == ELOOP) return 0;
      if (error != 0) return error;
      return Rescue(from.get(), to.get(), path, {});
    }
    if (noted == inode) return 0;  // A link of what `current` has.
    if (taken == 0) {
      return RenameToFreeName(original, entry.name, current, entry.name);
    }
    // Replaced in `original` while the twin held what was there before.
    if (noted != 0 && taken == noted) {
      return RenameAt(original, entry.name, current, entry.name);
    }
    return 0;
  }

  const InodeByPath& kept_;
  std::string& where_;
};

// Removes what the open folder holds.
int RemoveContent(int folder) {
  std::vector<FolderEntry> entries;
  if (const int error = ListFolder(folder, entries)) return error;
  for (const FolderEntry& entry : entries) {
    if (const int error = RemoveTree(folder, entry.name)) return error;
  }
  return 0;
}

}  // namespace

int MakeTwin(int original, int twin,
             const absl::flat_hash_set<std::string>& left_out,
             InodeByPath& kept, std::string& where) {
  Twinner twinner(kept, where);
  if (const int error = twinner.Fill(original, twin, "", left_out)) {
    return error;
  }
  if (const int error = CopyFolderTraits(original, twin)) return error;
  return SyncFolder(twin);
}

int RescueNewcomers(int original, int current,
                    const absl::flat_hash_set<std::string>& replaced,
                    const InodeByPath& kept, std::string& where) {
  return Rescuer(kept, where).Rescue(original, current, "", replaced);
}

int RemoveTree(int folder, const std::string& name) {
  int error = UnlinkAt(folder, name);
  if (error == 0 || error == ENOENT) return 0;
  if (error != EISDIR && error != EPERM) return error;
  for (int attempt = 0; attempt < kMaxRemovals; ++attempt) {
    Fd content;
    error = OpenFolder(folder, name, content);
    if (error != 0) return error == ENOENT ? 0 : error;
    if (IsMountPoint(content.get())) return EBUSY;
    error = RemoveContent(content.get());
    if (error == EACCES) {
      // A folder that its owner may not change; it is going.
      error = SetMode(content.get(), 0700);
      if (error == 0) error = RemoveContent(content.get());
    }
    if (error != 0) return error;
    error = RemoveEmptyFolder(folder, name);
    if (error == 0 || error == ENOENT) return 0;
    if (error != ENOTEMPTY && error != EEXIST) return error;
  }
  return error;
}

}  // namespace checkpoint_internal
}  // namespace pretrained
