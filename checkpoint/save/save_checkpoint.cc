#include "checkpoint/save/save_checkpoint.h"

#include <fcntl.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint_index.h"
#include "checkpoint/error_text.h"
#include "checkpoint/file_writer.h"
#include "checkpoint/safetensors_writer.h"
#include "checkpoint/save/folder_update.h"
#include "checkpoint/save/system_calls.h"
#include "checkpoint/save/write_shards.h"
#include "checkpoint/shard_plan.h"
#include "checkpoint/tensor_to_write.h"
#include "checkpoint/torch/torch_legacy_writer.h"
#include "checkpoint/torch/torch_zip_writer.h"
#include "checkpoint/variant_name.h"

namespace pretrained {
namespace {

using checkpoint_internal::CallFailed;
using checkpoint_internal::Fd;
using checkpoint_internal::OpenFile;
using checkpoint_internal::QuotedName;
using checkpoint_internal::SaveMonitor;
using checkpoint_internal::SyncFile;
using checkpoint_internal::WritersFor;
using checkpoint_internal::WriteShards;

// One format that checkpoints are saved in.
struct SavedFormat {
  absl::string_view name;
  absl::string_view weights_name;
  absl::string_view index_name;
  absl::string_view extension;
  bool keeps_aliases;
  absl::Status (*write)(const std::string& path,
                        absl::Span<const TensorToWrite> tensors,
                        const SafetensorsMetadata& metadata);
};

constexpr SavedFormat kFormats[] = {
    {.name = "safetensors",
     .weights_name = "model.safetensors",
     .index_name = "model.safetensors.index.json",
     .extension = ".safetensors",
     .keeps_aliases = false,
     .write = WriteSafetensors},
    {.name = "torch",
     .weights_name = "pytorch_model.bin",
     .index_name = "pytorch_model.bin.index.json",
     .extension = ".bin",
     .keeps_aliases = true,
     .write =
         [](const std::string& path, absl::Span<const TensorToWrite> tensors,
            const SafetensorsMetadata&) {
           return WriteTorchZip(path, tensors);
         }},
    {.name = "torch_legacy",
     .weights_name = "pytorch_model.bin",
     .index_name = "pytorch_model.bin.index.json",
     .extension = ".bin",
     .keeps_aliases = true,
     .write =
         [](const std::string& path, absl::Span<const TensorToWrite> tensors,
            const SafetensorsMetadata&) {
           return WriteTorchLegacy(path, tensors);
         }},
};

absl::StatusOr<const SavedFormat*> FindFormat(absl::string_view name) {
  for (const SavedFormat& format : kFormats) {
    if (format.name == name) return &format;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("format ", QuotedName(name),
                   " is not one that checkpoints are saved in; pass "
                   "safetensors, torch or torch_legacy"));
}

SafetensorsMetadata MetadataOf(const SaveCheckpointOptions& options) {
  SafetensorsMetadata metadata = options.metadata;
  const bool has_format =
      std::any_of(metadata.begin(), metadata.end(),
                  [](const auto& entry) { return entry.first == "format"; });
  if (!has_format) metadata.insert(metadata.begin(), {"format", "pt"});
  return metadata;
}

// Leaves out the tensors with an `alias_of`, and notes their names.
absl::Status DropAliases(std::vector<TensorToWrite>& tensors,
                         SavedCheckpoint& saved) {
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (tensors[i].alias_of < static_cast<int64_t>(i)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("tensor ", QuotedName(tensors[i].name), ": alias_of is ",
                     tensors[i].alias_of, ", but only ", i,
                     " tensors come before; pass the index of one of those"));
  }
  std::erase_if(tensors, [&](const TensorToWrite& tensor) {
    if (tensor.alias_of < 0) return false;
    saved.dropped_aliases.push_back(tensor.name);
    return true;
  });
  return absl::OkStatus();
}

// Counts the tensors and their bytes, and has a monitor watch them where
// somebody wants to know.
absl::StatusOr<std::shared_ptr<SaveMonitor>> CountAndWatch(
    const SaveCheckpointOptions& options, bool watches,
    std::vector<TensorToWrite>& tensors, SavedCheckpoint& saved) {
  saved.tensors = static_cast<int64_t>(tensors.size());
  for (const TensorToWrite& tensor : tensors) {
    const absl::StatusOr<int64_t> bytes = CheckedBytes(tensor);
    if (!bytes.ok()) return bytes.status();
    if (tensor.alias_of < 0) saved.bytes += *bytes;
  }
  auto monitor = std::make_shared<SaveMonitor>(saved.bytes, options.progress);
  if (watches) monitor->Watch(tensors);
  return monitor;
}

// The tensors of one shard; aliases count from its first one.
std::vector<TensorToWrite> TensorsOf(
    const Shard& shard, const std::vector<TensorToWrite>& tensors) {
  absl::flat_hash_map<int, int> position;
  std::vector<TensorToWrite> chosen;
  for (const int index : shard.tensors) {
    position[index] = static_cast<int>(chosen.size());
    chosen.push_back(tensors[index]);
    TensorToWrite& tensor = chosen.back();
    if (tensor.alias_of < 0) continue;
    const auto it = position.find(tensor.alias_of);
    if (it != position.end()) {
      tensor.alias_of = it->second;
    } else {  // Elsewhere: one without elements, which shares with nobody.
      tensor.alias_of = -1;
    }
  }
  return chosen;
}

// Whether a save of weights called `weights_name` (with its variant) names a
// shard so: model-00001-of-00002.safetensors.
bool IsShardName(absl::string_view name, absl::string_view weights_name,
                 absl::string_view extension) {
  const auto take_digits = [&name] {
    size_t n = 0;
    while (n < name.size() && absl::ascii_isdigit(name[n])) ++n;
    name.remove_prefix(n);
    return n >= 5;
  };
  return absl::ConsumePrefix(&name,
                             absl::StripSuffix(weights_name, extension)) &&
         absl::ConsumePrefix(&name, "-") && take_digits() &&
         absl::ConsumePrefix(&name, "-of-") && take_digits() &&
         name == extension;
}

// Has the caller write a file, and makes sure of what is there then.
absl::Status WriteByCaller(const SaveCheckpointOptions& options,
                           const std::string& path,
                           absl::Span<const TensorToWrite> tensors) {
  absl::Status status = options.write_file(path, tensors);
  if (!status.ok()) return status;
  Fd file;
  int error = OpenFile(AT_FDCWD, path, O_RDONLY, file);
  if (error == 0) error = SyncFile(file.get());
  if (error == 0) return absl::OkStatus();
  return CallFailed(path, "synced after its writer made it", error);
}

// One save into a folder.
class FolderSave {
 public:
  FolderSave(const SavedFormat& format, const std::string& folder,
             const SaveCheckpointOptions& options)
      : format_(format),
        folder_(folder),
        options_(options),
        weights_name_(AddVariant(format.weights_name, options.variant)),
        index_name_(AddVariant(format.index_name, options.variant)) {}

  absl::StatusOr<SavedCheckpoint> Save(std::vector<TensorToWrite> tensors);

 private:
  absl::Status CheckNames(const ShardPlan& plan);
  absl::StatusOr<int> WritersOf(
      const ShardPlan& plan, const std::vector<TensorToWrite>& tensors) const;
  absl::Status WriteFiles(FolderUpdate& update, const ShardPlan& plan,
                          const std::vector<TensorToWrite>& tensors,
                          int writers, SaveMonitor& monitor);
  absl::Status WriteText(FolderUpdate& update, const std::string& name,
                         absl::string_view content);
  absl::Status RemoveStale(FolderUpdate& update);

  // `status`, about the file to be called `name`, which is still at `staged`.
  absl::Status InFolder(const absl::Status& status, const std::string& staged,
                        const std::string& name) const {
    return absl::Status(
        status.code(),
        absl::StrReplaceAll(status.message(),
                            {{staged, absl::StrCat(folder_, "/", name)}}));
  }

  const SavedFormat& format_;
  const std::string& folder_;
  const SaveCheckpointOptions& options_;
  const std::string weights_name_;
  const std::string index_name_;
  SavedCheckpoint saved_;
};

absl::StatusOr<SavedCheckpoint> FolderSave::Save(
    std::vector<TensorToWrite> tensors) {
  absl::Status status;
  if (!format_.keeps_aliases) status = DropAliases(tensors, saved_);
  if (!status.ok()) return status;
  const absl::StatusOr<ShardPlan> plan = PlanShards(
      absl::MakeConstSpan(tensors), options_.max_shard_bytes, weights_name_);
  if (!plan.ok()) return plan.status();
  const absl::StatusOr<int> writers = WritersOf(*plan, tensors);
  if (!writers.ok()) return writers.status();
  const absl::StatusOr<std::shared_ptr<SaveMonitor>> monitor = CountAndWatch(
      options_, *writers > 1 || options_.progress, tensors, saved_);
  if (!monitor.ok()) return monitor.status();
  status = CheckNames(*plan);
  if (!status.ok()) return status;
  absl::StatusOr<FolderUpdate> update = FolderUpdate::Begin(folder_);
  if (!update.ok()) return update.status();
  status = WriteFiles(*update, *plan, tensors, *writers, **monitor);
  if (status.ok() && options_.remove_stale) status = RemoveStale(*update);
  if (status.ok()) status = update->Commit();
  if (!status.ok()) return status;
  return std::move(saved_);
}

// Lists the files, whose names must differ.
absl::Status FolderSave::CheckNames(const ShardPlan& plan) {
  for (const Shard& shard : plan.shards) {
    saved_.files.push_back(shard.file_name);
  }
  if (plan.index.has_value()) saved_.files.push_back(index_name_);
  // Those of the earlier save, as well, would be removed.
  absl::flat_hash_set<std::string> names(saved_.files.begin(),
                                         saved_.files.end());
  names.insert({weights_name_, index_name_});
  for (const auto& [name, content] : options_.other_files) {
    if (!names.insert(name).second) {
      return absl::InvalidArgumentError(absl::StrCat(
          folder_, ": ", QuotedName(name),
          " is the name of two of the files to save; rename one of them"));
    }
    saved_.files.push_back(name);
  }
  return absl::OkStatus();
}

// Shards that are written at a time. A caller's writer is called by one thread.
absl::StatusOr<int> FolderSave::WritersOf(
    const ShardPlan& plan, const std::vector<TensorToWrite>& tensors) const {
  if (plan.shards.size() < 2 || options_.write_file) return 1;
  int64_t total = 0;
  for (const TensorToWrite& tensor : tensors) {
    const absl::StatusOr<int64_t> bytes = CheckedBytes(tensor);
    if (!bytes.ok()) return bytes.status();
    total += *bytes;
  }
  return WritersFor(options_.num_writers, total, tensors);
}

absl::Status FolderSave::WriteFiles(FolderUpdate& update, const ShardPlan& plan,
                                    const std::vector<TensorToWrite>& tensors,
                                    int writers, SaveMonitor& monitor) {
  const SafetensorsMetadata metadata = MetadataOf(options_);
  // A wrong name is to be known before the first gigabyte is written.
  for (const std::string& name : saved_.files) {
    const absl::StatusOr<std::string> path = update.NewFile(name);
    if (!path.ok()) return path.status();
  }
  std::vector<std::string> paths;
  for (const Shard& shard : plan.shards) {
    absl::StatusOr<std::string> path = update.NewFile(shard.file_name);
    if (!path.ok()) return path.status();
    paths.push_back(*std::move(path));
  }
  absl::Status status =
      WriteShards(paths.size(), writers, monitor, [&](size_t i) {
        const std::vector<TensorToWrite> chosen =
            TensorsOf(plan.shards[i], tensors);
        const absl::Status written =
            options_.write_file ? WriteByCaller(options_, paths[i], chosen)
                                : format_.write(paths[i], chosen, metadata);
        return written.ok()
                   ? written
                   : InFolder(written, paths[i], plan.shards[i].file_name);
      });
  if (!status.ok()) return status;
  if (plan.index.has_value()) {
    status = WriteText(update, index_name_, plan.index->Serialize());
  }
  for (const auto& [name, content] : options_.other_files) {
    if (status.ok()) status = WriteText(update, name, content);
  }
  return status;
}

absl::Status FolderSave::WriteText(FolderUpdate& update,
                                   const std::string& name,
                                   absl::string_view content) {
  const absl::StatusOr<std::string> path = update.NewFile(name);
  if (!path.ok()) return path.status();
  absl::StatusOr<FileWriter> file = FileWriter::Create(*path);
  absl::Status status = file.status();
  if (status.ok()) status = file->Append(content);
  if (status.ok()) status = file->Commit();
  return status.ok() ? status : InFolder(status, *path, name);
}

// Removes what an earlier save of these weights has left and this one does not
// write. What the index lists under other names than a save gives, somebody
// else may have put there.
absl::Status FolderSave::RemoveStale(FolderUpdate& update) {
  const absl::flat_hash_set<std::string> written(saved_.files.begin(),
                                                 saved_.files.end());
  std::vector<std::string> stale = {weights_name_, index_name_};
  const absl::StatusOr<CheckpointIndex> index =
      CheckpointIndex::Read(absl::StrCat(folder_, "/", index_name_));
  if (index.ok()) {
    for (const std::string& shard : index->shards()) {
      if (IsShardName(shard, weights_name_, format_.extension)) {
        stale.push_back(shard);
      }
    }
  }
  for (const std::string& name : stale) {
    if (written.contains(name)) continue;
    absl::Status status = update.Remove(name);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SavedCheckpoint> SaveCheckpoint(
    const std::string& folder, std::vector<TensorToWrite> tensors,
    const SaveCheckpointOptions& options) {
  const absl::StatusOr<const SavedFormat*> format = FindFormat(options.format);
  if (!format.ok()) return format.status();
  if (options.variant.find_first_of(absl::string_view("/\0", 2)) !=
      std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat(
        folder, ": variant ", QuotedName(options.variant),
        " cannot be part of a file name; pass one such as 'fp16'"));
  }
  return FolderSave(**format, folder, options).Save(std::move(tensors));
}

absl::StatusOr<SavedCheckpoint> SaveCheckpointFile(
    const std::string& path, std::vector<TensorToWrite> tensors,
    const SaveCheckpointOptions& options) {
  const absl::StatusOr<const SavedFormat*> format = FindFormat(options.format);
  if (!format.ok()) return format.status();
  SavedCheckpoint saved;
  absl::Status status;
  if (!(*format)->keeps_aliases) status = DropAliases(tensors, saved);
  if (!status.ok()) return status;
  const auto monitor =
      CountAndWatch(options, options.progress != nullptr, tensors, saved);
  if (!monitor.ok()) return monitor.status();
  status = (*format)->write(path, tensors, MetadataOf(options));
  if (!status.ok()) return status;
  saved.files.push_back(std::filesystem::path(path).filename().string());
  return saved;
}

}  // namespace pretrained
