#include "checkpoint/save/staging_folder.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "checkpoint/save/folder_tree.h"
#include "checkpoint/save/save_journal.h"
#include "checkpoint/save/save_record.h"
#include "checkpoint/save/system_calls.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

// Names to try for a new folder before giving up.
constexpr int kMaxNames = 100;

// As the kernel follows.
constexpr int kMaxLinks = 40;

// A record lists what the folder held: a name a file.
constexpr size_t kMaxRecordBytes = size_t{1} << 28;

uint64_t RandomNumber() {
  std::random_device random;
  return uint64_t{random()} << 32 | random();
}

absl::Status AnotherSave(const std::string& path) {
  return absl::UnavailableError(absl::StrCat(
      path, ": another save into this folder is running; try again later"));
}

// Absolute, free of symbolic links; empty, with errno, if there is none.
std::string RealPath(const std::string& path) {
  char* const real = realpath(path.c_str(), nullptr);
  if (real == nullptr) return "";
  std::string text = real;
  free(real);
  return text;
}

SaveTarget TargetAt(const std::string& parent, const std::string& name,
                    bool exists) {
  return {.path = absl::StrCat(parent == "/" ? "" : parent, "/", name),
          .parent = parent,
          .name = name,
          .exists = exists};
}

// The part of `path` after its last slash, of which there are none at its end.
absl::string_view LastPart(absl::string_view path) {
  return path.substr(path.find_last_of('/') + 1);  // npos + 1 is 0.
}

std::string WithoutLastPart(absl::string_view path) {
  const absl::string_view rest =
      path.substr(0, path.size() - LastPart(path).size());
  return rest.empty() ? "." : std::string(rest);
}

// Whether the name `lock` in the open staging folder still means `lock`.
bool IsStillThere(int staging, int lock) {
  struct stat named, held;
  return fstatat(staging, "lock", &named, AT_SYMLINK_NOFOLLOW) == 0 &&
         fstat(lock, &held) == 0 && named.st_ino == held.st_ino &&
         named.st_dev == held.st_dev;
}

// File systems without locks: a save there goes unnoticed.
bool HasNoLocks(int error) {
  return error == ENOLCK || error == ENOSYS || error == ENOTSUP ||
         error == EINVAL;
}

// Removes a staging folder without a lock, which is the first thing that comes
// and the last that goes: just being made, or almost removed.
absl::Status ClearUnlocked(int parent, const std::string& name, int own) {
  std::vector<FolderEntry> entries;
  if (ListFolder(own, entries) == 0 && !entries.empty() &&
      InodeOf(own, "lock") == 0) {
    RemoveStaging(parent, name, own);
  } else {
    RemoveEmptyFolder(parent, name);
  }
  return absl::OkStatus();
}

// Removes the staging folder `name` of a save that was killed. kUnavailable if
// it was not.
absl::Status ClearLeftover(const SaveTarget& target, int parent,
                           const std::string& name, bool inside) {
  Fd own, lock;
  int error = OpenFolder(parent, name, own);
  if (error == ENOENT || error == ENOTDIR || error == ELOOP) {
    return absl::OkStatus();
  }
  if (error == 0) error = OpenFile(own.get(), "lock", O_RDWR, lock);
  if (error == ENOENT) return ClearUnlocked(parent, name, own.get());
  if (error == 0) error = LockFile(lock.get());
  if (error == EWOULDBLOCK) return AnotherSave(target.path);
  // Another user's, or without locks: whether it is alive cannot be told.
  if (error == EACCES || error == EPERM || error == EROFS ||
      HasNoLocks(error)) {
    return absl::OkStatus();
  }
  if (error != 0) {
    return CallFailed(absl::StrCat(target.path, ": the staging folder ", name),
                      "opened", error);
  }
  if (!IsStillThere(own.get(), lock.get())) return absl::OkStatus();
  absl::Status status;
  if (target.exists) {
    if (inside) {
      // Its journal may have come since this save looked for one.
      status = FinishInterruptedSave(target.path);
    } else {
      Fd folder;
      error = OpenFolder(AT_FDCWD, target.path, folder);
      if (error != 0) return CallFailed(target.path, "opened", error);
      status = RescueFromSwapped(own.get(), folder.get(), target.path);
    }
  }
  if (status.ok()) RemoveStaging(parent, name, own.get());
  return status;
}

}  // namespace

absl::StatusOr<SaveTarget> ResolveSaveTarget(const std::string& path) {
  std::string at = path;
  for (int links = 0; links < kMaxLinks; ++links) {
    while (at.size() > 1 && at.back() == '/') at.pop_back();
    struct stat info;
    if (stat(at.c_str(), &info) == 0) {
      if (!S_ISDIR(info.st_mode)) {
        return absl::InvalidArgumentError(absl::StrCat(
            path, ": is a file, but a folder to save into is expected"));
      }
      const std::string real = RealPath(at);
      if (real.empty()) return CallFailed(path, "resolved", errno);
      if (real == "/") {
        return SaveTarget{.path = "/", .parent = "/", .exists = true};
      }
      const std::string parent = WithoutLastPart(real);
      return TargetAt(RealPath(parent), std::string(LastPart(real)), true);
    }
    if (errno != ENOENT) return CallFailed(path, "opened", errno);
    // A symbolic link to a folder that is yet to be made?
    std::string link(PATH_MAX, '\0');
    const ssize_t size = readlink(at.c_str(), link.data(), link.size());
    if (size > 0) {
      link.resize(static_cast<size_t>(size));
      at = link[0] == '/' ? link : absl::StrCat(WithoutLastPart(at), "/", link);
      continue;
    }
    const std::string name(LastPart(at));
    if (at.empty() || name == "." || name == "..") {
      return CallFailed(path, "opened", ENOENT);
    }
    const std::string parent = RealPath(WithoutLastPart(at));
    if (parent.empty()) return CallFailed(path, "made", errno);
    return TargetAt(parent, name, false);
  }
  return CallFailed(path, "opened", ELOOP);
}

absl::StatusOr<StagingFolder> StagingFolder::Create(const SaveTarget& target,
                                                    bool inside, int* error) {
  StagingFolder staging;
  const std::string& where = inside ? target.path : target.parent;
  *error = OpenFolder(AT_FDCWD, where, staging.parent_);
  if (*error != 0) return CallFailed(target.path, "opened", *error);
  for (int attempt = 0; attempt < kMaxNames; ++attempt) {
    const uint64_t random = RandomNumber();
    staging.name_ = inside ? InsideStagingName(random)
                           : BesideStagingName(target.name, random);
    // Beside, what is half written is nobody else's to see.
    *error = MakeFolder(staging.parent(), staging.name_, inside ? 0777 : 0700);
    if (*error != EEXIST) break;
  }
  if (*error != 0) {
    return CallFailed(target.path, "saved into", *error);
  }
  staging.path_ = absl::StrCat(where == "/" ? "" : where, "/", staging.name_);
  *error = OpenFolder(staging.parent(), staging.name_, staging.own_);
  if (*error == 0) {
    *error = OpenFile(staging.own(), "lock", O_RDWR | O_CREAT | O_EXCL,
                      staging.lock_);
  }
  if (*error == 0) {
    *error = LockFile(staging.lock_.get());
    if (HasNoLocks(*error)) *error = 0;
  }
  if (*error == EWOULDBLOCK || *error == ENOENT ||
      (*error == 0 && !IsStillThere(staging.own(), staging.lock_.get()))) {
    // Another save has taken this for a leftover.
    *error = EWOULDBLOCK;
    return AnotherSave(target.path);
  }
  if (*error == 0) *error = MakeFolder(staging.own(), "tree", 0777);
  if (*error == 0) *error = OpenFolder(staging.own(), "tree", staging.tree_);
  if (*error != 0) {
    staging.Remove();
    return CallFailed(target.path, "saved into", *error);
  }
  return staging;
}

void StagingFolder::Remove() {
  if (own_.is_open()) {
    RemoveStaging(parent(), name_, own());
  } else if (parent_.is_open()) {
    RemoveEmptyFolder(parent(), name_);
  }
  *this = StagingFolder();
}

absl::Status RescueFromSwapped(int staging, int folder,
                               const std::string& path) {
  Fd record_file, tree;
  int error = OpenFile(staging, "record", O_RDONLY, record_file);
  if (error == ENOENT) return absl::OkStatus();
  std::string text;
  if (error == 0) error = ReadUpTo(record_file.get(), kMaxRecordBytes, text);
  if (error == 0) error = OpenFolder(staging, "tree", tree);
  if (error == ENOENT) return absl::OkStatus();
  if (error != 0) return CallFailed(path, "cleared of an older save", error);
  const absl::StatusOr<SaveRecord> record = SaveRecord::Parse(text, path);
  struct stat info;
  // Written but in part: then nothing was swapped.
  if (!record.ok() || fstat(tree.get(), &info) != 0 ||
      info.st_ino != record->folder_inode) {
    return absl::OkStatus();
  }
  absl::flat_hash_set<std::string> replaced(record->new_names.begin(),
                                            record->new_names.end());
  replaced.insert(record->removed_names.begin(), record->removed_names.end());
  std::string where;
  error = RescueNewcomers(tree.get(), folder, replaced, record->kept, where);
  if (error == 0) return absl::OkStatus();
  return CallFailed(absl::StrCat(path, "/", where),
                    "moved over from the folder before the save", error);
}

absl::Status ClearLeftovers(const SaveTarget& target,
                            const std::string& own_name) {
  for (const bool inside : {false, true}) {
    if (inside && !target.exists) break;
    if (!inside && target.name.empty()) continue;
    Fd folder;
    std::vector<FolderEntry> entries;
    const int error =
        OpenFolder(AT_FDCWD, inside ? target.path : target.parent, folder);
    // Where nobody may look, nobody has left anything for us.
    if (error != 0 || ListFolder(folder.get(), entries) != 0) continue;
    for (const FolderEntry& entry : entries) {
      if (!entry.is_folder || entry.name == own_name) continue;
      if (inside ? !IsInsideStagingName(entry.name)
                 : !IsBesideStagingName(entry.name, target.name)) {
        continue;
      }
      absl::Status status =
          ClearLeftover(target, folder.get(), entry.name, inside);
      if (!status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

}  // namespace checkpoint_internal
}  // namespace pretrained
