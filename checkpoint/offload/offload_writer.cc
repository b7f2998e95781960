#include "checkpoint/offload/offload_writer.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/error_text.h"
#include "checkpoint/file_writer.h"
#include "checkpoint/mapped_file.h"
#include "checkpoint/offload/offload_index.h"
#include "checkpoint/save/folder_update.h"
#include "checkpoint/tensor_to_write.h"

namespace pretrained {
namespace {

// What is offloaded lies in the checkpoint, too: nothing is lost that would be
// worth waiting for the disk.
constexpr Durability kDurability = Durability::kCached;

// The entries of the index that is there; none where there is no index.
absl::StatusOr<std::vector<OffloadEntry>> ReadIndex(const std::string& path) {
  absl::StatusOr<std::unique_ptr<MappedFile>> file = MappedFile::Open(path);
  if (absl::IsNotFound(file.status())) return std::vector<OffloadEntry>();
  if (!file.ok()) return file.status();
  std::string text((*file)->size_bytes(), '\0');
  absl::Status status = (*file)->Read(0, absl::MakeSpan(text));
  if (!status.ok()) return status;
  return ParseOffloadIndex(text, path);
}

}  // namespace

absl::StatusOr<OffloadWriter> OffloadWriter::Begin(const std::string& folder) {
  if (folder.empty()) {
    return absl::InvalidArgumentError(
        "the offload folder's name is empty; name a folder");
  }
  absl::StatusOr<FolderUpdate> update = FolderUpdate::Begin(folder);
  if (!update.ok()) return update.status();
  absl::StatusOr<std::vector<OffloadEntry>> previous =
      ReadIndex(absl::StrCat(folder, "/index.json"));
  if (!previous.ok()) return previous.status();
  return OffloadWriter(folder, *std::move(update), *std::move(previous));
}

absl::Status OffloadWriter::AddEntry(OffloadEntry entry) {
  absl::Status status = CheckOffloadName(entry.name);
  if (status.ok() && !names_.insert(entry.name).second) {
    status = absl::InvalidArgumentError(
        absl::StrCat("the weight ", checkpoint_internal::QuotedName(entry.name),
                     " was offloaded already"));
  }
  if (!status.ok()) return NamingFile(folder_, status);
  entries_.push_back(std::move(entry));
  return absl::OkStatus();
}

absl::Status OffloadWriter::Add(const TensorToWrite& tensor) {
  absl::Status status = AddEntry(
      {.name = tensor.name, .dtype = tensor.dtype, .shape = tensor.shape});
  if (!status.ok()) return status;
  absl::StatusOr<std::string> path =
      update_.NewFile(absl::StrCat(tensor.name, ".dat"));
  if (!path.ok()) return path.status();
  absl::StatusOr<FileWriter> file = FileWriter::Create(*path, kDurability);
  if (!file.ok()) return file.status();
  status = ProduceBytes(
      tensor, [&](absl::string_view piece) { return file->Append(piece); });
  if (!status.ok()) return status;
  return file->Commit();
}

absl::Status OffloadWriter::AddSafetensors(OffloadEntry entry) {
  if (!entry.is_safetensors()) {
    return absl::InvalidArgumentError(
        absl::StrCat(folder_, ": ", checkpoint_internal::QuotedName(entry.name),
                     ": no safetensors file is named"));
  }
  return AddEntry(std::move(entry));
}

absl::Status OffloadWriter::Commit() {
  if (entries_.empty()) return absl::OkStatus();
  std::vector<OffloadEntry> all = previous_;
  absl::flat_hash_map<absl::string_view, size_t> place;
  for (size_t i = 0; i < previous_.size(); ++i) place[previous_[i].name] = i;
  for (const OffloadEntry& entry : entries_) {
    const auto found = place.find(entry.name);
    if (found == place.end()) {
      all.push_back(entry);
      continue;
    }
    all[found->second] = entry;
    if (entry.is_safetensors()) {  // Its .dat file is of no more use.
      absl::Status status = update_.Remove(absl::StrCat(entry.name, ".dat"));
      if (!status.ok()) return status;
    }
  }
  absl::StatusOr<std::string> path = update_.NewFile("index.json");
  if (!path.ok()) return path.status();
  absl::StatusOr<FileWriter> file = FileWriter::Create(*path, kDurability);
  if (!file.ok()) return file.status();
  absl::Status status = file->Append(OffloadIndexJson(all));
  if (status.ok()) status = file->Commit();
  if (!status.ok()) return status;
  return update_.Commit();
}

}  // namespace pretrained
