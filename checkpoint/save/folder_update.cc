#include "checkpoint/save/folder_update.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "checkpoint/error_text.h"
#include "checkpoint/save/folder_tree.h"
#include "checkpoint/save/save_journal.h"
#include "checkpoint/save/save_record.h"
#include "checkpoint/save/staging_folder.h"
#include "checkpoint/save/system_calls.h"

namespace pretrained {

using checkpoint_internal::CallFailed;
using checkpoint_internal::CheckPlainName;
using checkpoint_internal::ClearLeftovers;
using checkpoint_internal::CopyFileAt;
using checkpoint_internal::ExchangeAt;
using checkpoint_internal::Fd;
using checkpoint_internal::InodeOf;
using checkpoint_internal::IsMountPoint;
using checkpoint_internal::IsRefusal;
using checkpoint_internal::MakeFolder;
using checkpoint_internal::MakeTwin;
using checkpoint_internal::OpenFile;
using checkpoint_internal::OpenFolder;
using checkpoint_internal::QuotedName;
using checkpoint_internal::RemoveEmptyFolder;
using checkpoint_internal::RenameAt;
using checkpoint_internal::RenameToFreeName;
using checkpoint_internal::RescueFromSwapped;
using checkpoint_internal::ResolveSaveTarget;
using checkpoint_internal::SaveRecord;
using checkpoint_internal::SaveTarget;
using checkpoint_internal::StagingFolder;
using checkpoint_internal::SyncFile;
using checkpoint_internal::SyncFolder;
using checkpoint_internal::UnlinkAt;
using checkpoint_internal::WriteAll;

namespace {

// A path that renames from the folder's parent do not reach, or from which a
// process would not see the new folder.
bool MustStayInside(const SaveTarget& target) {
  if (!target.exists) return false;
  if (target.name.empty()) return true;  // "/"
  struct stat folder, parent;
  if (stat(target.path.c_str(), &folder) != 0 ||
      stat(target.parent.c_str(), &parent) != 0 ||
      folder.st_dev != parent.st_dev) {
    return true;
  }
  Fd fd;
  if (OpenFolder(AT_FDCWD, target.path, fd) == 0 && IsMountPoint(fd.get())) {
    return true;
  }
  // The current folder, likely a shell's as well, would be a removed one.
  char current[PATH_MAX];
  return getcwd(current, sizeof(current)) != nullptr &&
         absl::StartsWith(absl::StrCat(current, "/"),
                          absl::StrCat(target.path, "/"));
}

// Makes the folders that `path` lies in and that are missing; `made` gets them,
// outermost first.
absl::Status MakeParents(const std::string& path,
                         std::vector<std::string>& made) {
  std::vector<std::string> missing;
  std::filesystem::path at = path;
  std::error_code ignored;
  while (at.has_parent_path() && at.parent_path() != at) {
    const bool ends_in_slash = !at.has_filename();
    at = at.parent_path();
    if (ends_in_slash) continue;
    struct stat info;
    if (lstat(at.c_str(), &info) == 0 || errno != ENOENT) break;
    missing.push_back(at.string());
  }
  while (!missing.empty()) {
    const int error = MakeFolder(AT_FDCWD, missing.back(), 0777);
    if (error != 0 && error != EEXIST) {
      return CallFailed(missing.back(), "made", error);
    }
    if (error == 0) made.push_back(missing.back());
    missing.pop_back();
  }
  return absl::OkStatus();
}

absl::Status AlreadyCommitted() {
  return absl::FailedPreconditionError(
      "FolderUpdate: Commit() was called before; begin another update");
}

}  // namespace

struct FolderUpdate::State {
  ~State() { CleanUp(); }

  absl::Status Begin(const std::string& folder);
  absl::Status Stage();
  absl::Status CheckWritten();
  absl::Status Commit();
  absl::Status CreateFolder();
  absl::Status MoveOneFile();
  absl::StatusOr<bool> Exchange();
  absl::StatusOr<bool> BuildTwin(const Fd& folder);
  absl::Status WriteRecord();
  absl::Status Journal();
  void CleanUp();

  absl::flat_hash_set<std::string> Changed() const {
    absl::flat_hash_set<std::string> names(record.new_names.begin(),
                                           record.new_names.end());
    names.insert(record.removed_names.begin(), record.removed_names.end());
    return names;
  }

  SaveTarget target;
  StagingFolder staging;
  bool inside = false;
  bool committed = false;
  bool keep_staging = false;  // It holds what only it has.
  std::vector<std::string> made_parents;
  SaveRecord record;
};

absl::Status FolderUpdate::State::Begin(const std::string& folder) {
  absl::Status status = FinishInterruptedSave(folder);
  if (!status.ok()) return status;
  status = MakeParents(folder, made_parents);
  if (!status.ok()) return status;
  absl::StatusOr<SaveTarget> resolved = ResolveSaveTarget(folder);
  if (!resolved.ok()) return resolved.status();
  target = *std::move(resolved);
  status = Stage();
  if (!status.ok()) return status;
  return ClearLeftovers(target, staging.name());
}

absl::Status FolderUpdate::State::Stage() {
  inside = MustStayInside(target);
  int error = 0;
  absl::StatusOr<StagingFolder> made =
      StagingFolder::Create(target, inside, &error);
  if (!made.ok() && !inside && target.exists && IsRefusal(error)) {
    inside = true;
    made = StagingFolder::Create(target, inside, &error);
  }
  if (!made.ok()) return made.status();
  staging = *std::move(made);
  return absl::OkStatus();
}

void FolderUpdate::State::CleanUp() {
  if (!keep_staging) staging.Remove();
  if (committed) return;
  while (!made_parents.empty()) {
    RemoveEmptyFolder(AT_FDCWD, made_parents.back());
    made_parents.pop_back();
  }
}

// Every new file is there, and what is to be removed is.
absl::Status FolderUpdate::State::CheckWritten() {
  for (const std::string& name : record.new_names) {
    if (InodeOf(staging.tree(), name) == 0) {
      return absl::FailedPreconditionError(
          absl::StrCat(target.path, ": ", QuotedName(name),
                       " was announced as a new file, but has not been "
                       "written; write it before Commit()"));
    }
  }
  std::vector<std::string> present;
  Fd folder;
  const int error = OpenFolder(AT_FDCWD, target.path, folder);
  if (error != 0 && error != ENOENT) {
    return CallFailed(target.path, "opened", error);
  }
  if (error == 0) target.exists = true;
  for (std::string& name : record.removed_names) {
    if (error == 0 && InodeOf(folder.get(), name) != 0) {
      present.push_back(std::move(name));
    }
  }
  record.removed_names = std::move(present);
  return absl::OkStatus();
}

absl::Status FolderUpdate::State::Commit() {
  absl::Status status = CheckWritten();
  if (!status.ok()) return status;
  if (const int error = SyncFolder(staging.tree())) {
    return CallFailed(target.path, "saved into", error);
  }
  if (!target.exists) {
    status = CreateFolder();
    if (!absl::IsAlreadyExists(status)) return status;
    target.exists = true;  // It has come meanwhile.
  }
  if (record.new_names.empty() && record.removed_names.empty()) {
    return absl::OkStatus();
  }
  if (record.new_names.size() == 1 && record.removed_names.empty()) {
    return MoveOneFile();
  }
  if (!inside) {
    const absl::StatusOr<bool> swapped = Exchange();
    if (!swapped.ok()) return swapped.status();
    if (*swapped) return absl::OkStatus();
  }
  return Journal();
}

// The whole folder is new: one rename.
absl::Status FolderUpdate::State::CreateFolder() {
  int error =
      RenameToFreeName(staging.own(), "tree", staging.parent(), target.name);
  if (error == ENOTEMPTY) error = EEXIST;
  if (error == 0) error = SyncFolder(staging.parent());
  for (const std::string& made : made_parents) {
    Fd parent;
    if (error == 0) error = OpenFolder(AT_FDCWD, made + "/..", parent);
    if (error == 0) error = SyncFolder(parent.get());
  }
  if (error == 0) return absl::OkStatus();
  return CallFailed(target.path, "made", error);
}

absl::Status FolderUpdate::State::MoveOneFile() {
  const std::string& name = record.new_names[0];
  Fd folder;
  int error = OpenFolder(AT_FDCWD, target.path, folder);
  if (error == 0) error = RenameAt(staging.tree(), name, folder.get(), name);
  if (error == EXDEV) return Journal();
  if (error == 0) error = SyncFolder(folder.get());
  if (error == 0) return absl::OkStatus();
  return CallFailed(absl::StrCat(target.path, "/", name), "put in place",
                    error);
}

// Fills the staged tree with what the folder keeps. False where that, or what
// makes a folder what this one is, is refused.
absl::StatusOr<bool> FolderUpdate::State::BuildTwin(const Fd& folder) {
  std::string where;
  const int error =
      MakeTwin(folder.get(), staging.tree(), Changed(), record.kept, where);
  if (error == 0) return true;
  if (IsRefusal(error)) return false;
  return CallFailed(absl::StrCat(target.path, "/", where), "linked", error);
}

absl::Status FolderUpdate::State::WriteRecord() {
  Fd file;
  int error =
      OpenFile(staging.own(), "record", O_WRONLY | O_CREAT | O_TRUNC, file);
  if (error == 0) error = WriteAll(file.get(), record.Serialize());
  if (error == 0) error = SyncFile(file.get());
  if (error == 0) error = SyncFolder(staging.own());
  if (error == 0) error = SyncFolder(staging.parent());
  if (error == 0) return absl::OkStatus();
  return CallFailed(target.path, "saved into", error);
}

// Swaps the folder for the staged one. False where that is refused.
absl::StatusOr<bool> FolderUpdate::State::Exchange() {
  Fd folder;
  int error = OpenFolder(AT_FDCWD, target.path, folder);
  if (error != 0) return CallFailed(target.path, "opened", error);
  const absl::StatusOr<bool> built = BuildTwin(folder);
  if (!built.ok() || !*built) return built;
  record.folder_inode = InodeOf(staging.parent(), target.name);
  absl::Status status = WriteRecord();
  if (!status.ok()) return status;
  error = ExchangeAt(staging.own(), "tree", staging.parent(), target.name);
  if (IsRefusal(error)) return false;
  if (error != 0) return CallFailed(target.path, "swapped", error);
  error = SyncFolder(staging.parent());
  if (error == 0) error = SyncFolder(staging.own());
  if (error != 0) {
    // The swap may not last, so the old folder must not go.
    keep_staging =
        ExchangeAt(staging.own(), "tree", staging.parent(), target.name) != 0;
    return CallFailed(target.path, "synced", error);
  }
  // The save is done. What cannot be moved or removed now, the next one will.
  status = RescueFromSwapped(staging.own(), staging.tree(), target.path);
  if (!status.ok()) keep_staging = true;
  return true;
}

// Puts the files in place one by one, with a journal.
absl::Status FolderUpdate::State::Journal() {
  Fd folder;
  int error = OpenFolder(AT_FDCWD, target.path, folder);
  if (error != 0) return CallFailed(target.path, "opened", error);
  if (!inside) {
    absl::StatusOr<StagingFolder> made =
        StagingFolder::Create(target, true, &error);
    if (!made.ok()) return made.status();
    for (const std::string& name : record.new_names) {
      error = RenameAt(staging.tree(), name, made->tree(), name);
      if (error == EXDEV) {
        error = CopyFileAt(staging.tree(), name, made->tree(), name);
        if (error == 0) error = UnlinkAt(staging.tree(), name);
      }
      if (error != 0) {
        made->Remove();
        return CallFailed(absl::StrCat(target.path, "/", name), "put in place",
                          error);
      }
    }
    if ((error = SyncFolder(made->tree())) != 0) {
      made->Remove();
      return CallFailed(target.path, "synced", error);
    }
    staging.Remove();
    staging = *std::move(made);
    inside = true;
  }
  record.staging = staging.name();
  record.folder_inode = 0;
  record.kept.clear();
  absl::Status status = checkpoint_internal::WriteJournal(
      folder.get(), staging.own(), record.Serialize(), target.path);
  if (!status.ok()) return status;
  keep_staging = true;
  return FinishInterruptedSave(target.path);
}

FolderUpdate::FolderUpdate(std::unique_ptr<State> state)
    : state_(std::move(state)) {}
FolderUpdate::FolderUpdate(FolderUpdate&&) noexcept = default;
FolderUpdate& FolderUpdate::operator=(FolderUpdate&&) noexcept = default;
FolderUpdate::~FolderUpdate() = default;

absl::StatusOr<FolderUpdate> FolderUpdate::Begin(const std::string& folder) {
  auto state = std::make_unique<State>();
  absl::Status status = state->Begin(folder);
  if (!status.ok()) return status;
  return FolderUpdate(std::move(state));
}

absl::StatusOr<std::string> FolderUpdate::NewFile(absl::string_view name) {
  if (state_ == nullptr) return AlreadyCommitted();
  absl::Status status = CheckPlainName(name);
  if (!status.ok()) return status;
  State& state = *state_;
  struct stat info;
  const std::string there = absl::StrCat(state.target.path, "/", name);
  if (lstat(there.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(
        there, ": is a folder, but a file is to be written; move it away"));
  }
  std::vector<std::string>& removed = state.record.removed_names;
  std::erase(removed, name);
  std::vector<std::string>& names = state.record.new_names;
  if (!absl::c_linear_search(names, name)) names.emplace_back(name);
  return absl::StrCat(state.staging.tree_path(), "/", name);
}

absl::Status FolderUpdate::Remove(absl::string_view name) {
  if (state_ == nullptr) return AlreadyCommitted();
  absl::Status status = CheckPlainName(name);
  if (!status.ok()) return status;
  State& state = *state_;
  struct stat info;
  const std::string there = absl::StrCat(state.target.path, "/", name);
  if (lstat(there.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(
        there, ": is a folder, but only files are removed; move it away"));
  }
  if (absl::c_linear_search(state.record.new_names, name) ||
      absl::c_linear_search(state.record.removed_names, name)) {
    return absl::OkStatus();
  }
  state.record.removed_names.emplace_back(name);
  return absl::OkStatus();
}

absl::Status FolderUpdate::Commit() {
  if (state_ == nullptr) return AlreadyCommitted();
  const std::unique_ptr<State> state = std::move(state_);
  absl::Status status = state->Commit();
  state->committed = status.ok() || state->keep_staging;
  return status;
}

}  // namespace pretrained
