#include "checkpoint/safetensors_checkpoint.h"

#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/error_text.h"
#include "checkpoint/mapped_file.h"
#include "checkpoint/safetensors_reader.h"
#include "checkpoint/tensor_files.h"
#include "checkpoint/tensor_table.h"

namespace pretrained {
namespace {

using checkpoint_internal::QuotedName;

// Adds the entries of `more` whose keys `metadata` does not have yet.
void MergeMetadata(absl::Span<const std::pair<std::string, std::string>> more,
                   std::vector<std::pair<std::string, std::string>>& metadata) {
  if (metadata.empty()) {
    metadata.assign(more.begin(), more.end());
    return;
  }
  absl::flat_hash_set<std::string> keys;
  for (const auto& entry : metadata) keys.insert(entry.first);
  for (const auto& entry : more) {
    if (keys.insert(entry.first).second) metadata.push_back(entry);
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<SafetensorsCheckpoint>>
SafetensorsCheckpoint::Open(const std::vector<std::string>& paths,
                            const SafetensorsCheckpointOptions& options) {
  if (paths.empty()) {
    return absl::InvalidArgumentError(
        "no file was named; a checkpoint needs at least one");
  }
  auto checkpoint =
      absl::WrapUnique(new SafetensorsCheckpoint(options.use_mmap));
  std::vector<TensorInfo> tensors;
  for (const std::string& path : paths) {
    const int index = static_cast<int>(checkpoint->files_.infos().size());
    absl::StatusOr<const MappedFile*> file = checkpoint->files_.Add(path);
    if (!file.ok()) return file.status();
    absl::StatusOr<SafetensorsReader> reader =
        SafetensorsReader::ReadFrom(**file);
    if (!reader.ok()) return reader.status();
    MergeMetadata(reader->metadata(), checkpoint->metadata_);
    TensorTable table = std::move(*reader).ReleaseTable();
    if (paths.size() == 1) {
      checkpoint->table_ = std::move(table);
      return checkpoint;
    }
    std::vector<TensorInfo> more = std::move(table).Release();
    for (TensorInfo& tensor : more) tensor.file = index;
    tensors.insert(tensors.end(), std::make_move_iterator(more.begin()),
                   std::make_move_iterator(more.end()));
  }
  absl::StatusOr<TensorTable> table = TensorTable::Create(
      std::move(tensors), [&](const TensorInfo& a, const TensorInfo& b) {
        return absl::DataLossError(absl::StrCat(
            paths[b.file], ": tensor ", QuotedName(b.name), ": is also in ",
            paths[a.file],
            ", but each tensor belongs in one file; these are "
            "not files of one checkpoint, or it must be saved again"));
      });
  if (!table.ok()) return table.status();
  checkpoint->table_ = *std::move(table);
  return checkpoint;
}

absl::StatusOr<const TensorInfo*> SafetensorsCheckpoint::Find(
    absl::string_view name) const {
  return table_.Find(name, files_.Where());
}

absl::StatusOr<TensorView> SafetensorsCheckpoint::View(
    const TensorInfo& tensor) const {
  return files_.View(tensor);
}

absl::Status SafetensorsCheckpoint::Read(const TensorInfo& tensor,
                                         absl::Span<char> destination) const {
  return files_.Read(tensor, destination);
}

absl::Status SafetensorsCheckpoint::ReadSlice(
    const TensorInfo& tensor, absl::Span<const SliceRange> slice,
    absl::Span<char> destination) const {
  return files_.ReadSlice(tensor, slice, destination);
}

absl::Status SafetensorsCheckpoint::CheckFilesUnchanged() const {
  return files_.CheckUnchanged();
}

}  // namespace pretrained
