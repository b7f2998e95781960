#include "checkpoint/open_checkpoint.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/checkpoint_format.h"
#include "checkpoint/checkpoint_formats.h"
#include "checkpoint/checkpoint_index.h"
#include "checkpoint/error_text.h"
#include "checkpoint/open_weights.h"
#include "checkpoint/save/save_journal.h"
#include "checkpoint/weights_file.h"

namespace pretrained {
namespace {

using checkpoint_internal::CheckpointFormats;
using checkpoint_internal::IsIndexName;
using checkpoint_internal::OpenShards;
using checkpoint_internal::OpenWeights;
using checkpoint_internal::QuotedName;

// Saves, or other changes of a folder, that may come while it is opened.
constexpr int kMaxAttempts = 20;

std::string JoinPath(absl::string_view folder, absl::string_view name) {
  return absl::StrCat(folder, absl::EndsWith(folder, "/") ? "" : "/", name);
}

// The names in `folder`, sorted; those of folders end in "/".
absl::StatusOr<std::vector<std::string>> ListFolder(const std::string& folder) {
  std::error_code error;
  std::vector<std::string> names;
  std::filesystem::directory_iterator it(folder, error), end;
  for (; !error && it != end; it.increment(error)) {
    std::error_code unknown;  // A link to nothing is listed as a file.
    const bool is_folder = it->is_directory(unknown);
    names.push_back(
        absl::StrCat(it->path().filename().string(), is_folder ? "/" : ""));
  }
  if (error) {
    return absl::Status(
        absl::ErrnoToStatusCode(error.value()),
        absl::StrCat(folder, ": the folder cannot be listed: ", error.message(),
                     "; check its permissions"));
  }
  std::sort(names.begin(), names.end());
  return names;
}

absl::Status AcceptAnyIndex(const CheckpointIndex&) { return absl::OkStatus(); }

absl::StatusOr<std::unique_ptr<Checkpoint>> OpenFolderOnce(
    const std::string& folder, const OpenCheckpointOptions& options) {
  const absl::StatusOr<std::vector<std::string>> names = ListFolder(folder);
  if (!names.ok()) return names.status();
  const absl::StatusOr<WeightsFile> file =
      FindWeightsFile(folder, *names, CheckpointFormats(), options);
  if (!file.ok()) return file.status();
  const std::string path = JoinPath(folder, file->name);
  return file->is_index ? OpenShards(path, options, &AcceptAnyIndex)
                        : file->format->open({path}, options);
}

absl::StatusOr<std::unique_ptr<Checkpoint>> OpenShardedFolderOnce(
    const std::string& folder, bool prefer_safe, IndexCheck check) {
  const absl::StatusOr<std::vector<std::string>> names = ListFolder(folder);
  if (!names.ok()) return names.status();
  const absl::StatusOr<WeightsFile> index =
      FindShardedWeights(folder, *names, CheckpointFormats(), prefer_safe);
  if (!index.ok()) return index.status();
  const std::string path = JoinPath(folder, index->name);
  return OpenShards(path, {}, [&](const CheckpointIndex& found) {
    return check(path, found);
  });
}

// Which folder stands under a name, and when a file last came or went in it.
struct FolderState {
  dev_t device = 0;
  ino_t inode = 0;
  int64_t changed_seconds = 0;
  int64_t changed_nanoseconds = 0;

  bool operator==(const FolderState&) const = default;
};

FolderState StateOf(const std::string& folder) {
  struct stat info;
  if (stat(folder.c_str(), &info) != 0) return {};
  return {info.st_dev, info.st_ino, info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
}

// Index and shards are opened one by one. A save that switches the folder in
// between would give some of either: then `open_once` once more.
absl::StatusOr<std::unique_ptr<Checkpoint>> OpenUnchanged(
    const std::string& folder,
    absl::FunctionRef<absl::StatusOr<std::unique_ptr<Checkpoint>>()>
        open_once) {
  for (int attempt = 1;; ++attempt) {
    if (absl::Status s = FinishInterruptedSave(folder); !s.ok()) return s;
    const FolderState before = StateOf(folder);
    absl::StatusOr<std::unique_ptr<Checkpoint>> checkpoint = open_once();
    if (StateOf(folder) == before || attempt == kMaxAttempts) {
      return checkpoint;
    }
  }
}

absl::StatusOr<std::unique_ptr<Checkpoint>> OpenFolder(
    const std::string& folder, const OpenCheckpointOptions& options) {
  return OpenUnchanged(folder, [&] { return OpenFolderOnce(folder, options); });
}

absl::Status NoSuchPath(const std::string& path) {
  return absl::NotFoundError(absl::StrCat(
      path,
      ": there is no such folder or file; check the path, or download the "
      "model first"));
}

absl::Status CheckOptions(const std::string& path,
                          const OpenCheckpointOptions& options) {
  if (options.variant.find_first_of(absl::string_view("/\0", 2)) !=
      std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": variant ", QuotedName(options.variant),
        " cannot be part of a file name; pass one such as 'fp16'"));
  }
  if (options.subfolder.find('\0') != std::string::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": subfolder ", QuotedName(options.subfolder),
                     " has a NUL; pass the name of a folder"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Checkpoint>> OpenCheckpoint(
    const std::string& path, const OpenCheckpointOptions& options) {
  if (absl::Status s = CheckOptions(path, options); !s.ok()) return s;
  struct stat info;
  if (stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) {
    if (options.subfolder.empty()) return OpenFolder(path, options);
    const std::string subfolder = JoinPath(path, options.subfolder);
    if (stat(subfolder.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) {
      return OpenFolder(subfolder, options);
    }
    return absl::NotFoundError(
        absl::StrCat(path, ": has no subfolder ", QuotedName(options.subfolder),
                     "; check its name, or download the model first"));
  }
  const absl::string_view whole = path;
  const size_t name = whole.rfind('/') + 1;  // npos + 1 is 0.
  const std::string folder = name == 0 ? "." : path.substr(0, name);
  if (absl::Status s = FinishInterruptedSave(folder); !s.ok()) return s;
  if (!path.empty() && lstat(path.c_str(), &info) != 0 &&
      (errno == ENOENT || errno == ENOTDIR)) {
    return NoSuchPath(path);
  }
  return IsIndexName(whole.substr(name))
             ? OpenShards(path, options, &AcceptAnyIndex)
             : OpenWeights(path, options);
}

absl::StatusOr<std::unique_ptr<Checkpoint>> OpenShardedCheckpoint(
    const std::string& folder, bool prefer_safe, IndexCheck check) {
  struct stat info;
  if (stat(folder.c_str(), &info) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return NoSuchPath(folder);
  } else if (!S_ISDIR(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(
        folder, ": is not a folder; pass the one that holds the index"));
  }
  return OpenUnchanged(folder, [&] {
    return OpenShardedFolderOnce(folder, prefer_safe, check);
  });
}

}  // namespace pretrained
