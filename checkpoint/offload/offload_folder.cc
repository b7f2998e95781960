#include "checkpoint/offload/offload_folder.h"

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/error_text.h"
#include "checkpoint/file_writer.h"
#include "checkpoint/mapped_file.h"
#include "checkpoint/offload/offload_index.h"
#include "checkpoint/safetensors_checkpoint.h"
#include "checkpoint/tensor_files.h"
#include "checkpoint/tensor_slice.h"
#include "checkpoint/tensor_table.h"
#include "dtypes/convert.h"
#include "dtypes/dtype.h"

namespace pretrained {
namespace {

using checkpoint_internal::AllocateView;
using checkpoint_internal::CheckDestination;
using checkpoint_internal::QuotedName;

absl::Span<char> BytesOf(const TensorView& view) {
  return absl::MakeSpan(static_cast<char*>(view.data), view.nbytes);
}

absl::StatusOr<std::string> ReadAll(const std::string& path) {
  absl::StatusOr<std::unique_ptr<MappedFile>> file = MappedFile::Open(path);
  if (!file.ok()) return file.status();
  std::string text((*file)->size_bytes(), '\0');
  absl::Status status = (*file)->Read(0, absl::MakeSpan(text));
  if (!status.ok()) return status;
  return text;
}

}  // namespace

absl::StatusOr<std::unique_ptr<OffloadFolder>> OffloadFolder::Open(
    const std::string& folder) {
  const std::string path = absl::StrCat(folder, "/index.json");
  absl::StatusOr<std::string> text = ReadAll(path);
  if (!text.ok()) return text.status();
  absl::StatusOr<std::vector<OffloadEntry>> entries =
      ParseOffloadIndex(*text, path);
  if (!entries.ok()) return entries.status();
  return OpenEntries(folder, *entries);
}

absl::StatusOr<std::unique_ptr<OffloadFolder>> OffloadFolder::OpenEntries(
    const std::string& folder, absl::Span<const OffloadEntry> entries) {
  auto result = absl::WrapUnique(new OffloadFolder());
  result->index_path_ = absl::StrCat(folder, "/index.json");
  std::vector<TensorInfo> tensors;
  tensors.reserve(entries.size());
  for (const OffloadEntry& entry : entries) {
    absl::StatusOr<TensorInfo> tensor = entry.is_safetensors()
                                            ? result->AddSafetensors(entry)
                                            : result->AddDat(folder, entry);
    if (!tensor.ok()) return tensor.status();
    tensors.push_back(*std::move(tensor));
  }
  absl::StatusOr<TensorTable> table = TensorTable::Create(
      std::move(tensors), [&](const TensorInfo& tensor, const TensorInfo&) {
        return absl::DataLossError(absl::StrCat(result->index_path_, ": ",
                                                QuotedName(tensor.name),
                                                " occurs twice"));
      });
  if (!table.ok()) return table.status();
  result->table_ = *std::move(table);
  return result;
}

absl::StatusOr<TensorInfo> OffloadFolder::AddDat(const std::string& folder,
                                                 const OffloadEntry& entry) {
  TensorInfo tensor{.name = entry.name,
                    .dtype = *entry.dtype,
                    .shape = entry.shape,
                    .file = static_cast<int>(files_.size())};
  tensor.end = tensor.num_elements() * DtypeSize(tensor.dtype);
  files_.push_back(
      {absl::StrCat(folder, "/", entry.name, ".dat"), tensor.nbytes()});
  contents_.push_back(std::make_unique<File>());
  absl::Status status = OpenDat(tensor.file).status();
  if (!status.ok()) return status;
  return tensor;
}

absl::StatusOr<TensorInfo> OffloadFolder::AddSafetensors(
    const OffloadEntry& entry) {
  const auto [place, is_new] = safetensors_.try_emplace(
      entry.safetensors_file, static_cast<int>(files_.size()));
  if (is_new) {
    auto file = SafetensorsCheckpoint::Open({entry.safetensors_file});
    if (!file.ok()) return file.status();
    files_.push_back((*file)->files()[0]);
    contents_.push_back(std::make_unique<File>());
    contents_.back()->safetensors = *std::move(file);
  }
  absl::StatusOr<const TensorInfo*> stored =
      contents_[place->second]->safetensors->Find(entry.weight_name);
  if (!stored.ok()) return stored.status();
  TensorInfo tensor = **stored;
  tensor.name = entry.name;
  tensor.file = place->second;
  const Dtype dtype = entry.dtype.value_or(tensor.dtype);
  if (dtype == tensor.dtype) return tensor;
  if (!CanConvert(tensor.dtype, dtype)) {
    return absl::UnimplementedError(absl::StrCat(
        entry.safetensors_file, ": tensor ", QuotedName(entry.weight_name),
        " is stored as ", DtypeName(tensor.dtype),
        ", which is not converted to ", DtypeName(dtype)));
  }
  stored_dtype_[entry.name] = tensor.dtype;
  tensor.in_place = false;
  tensor.dtype = dtype;
  return tensor;
}

// The .dat file, which must be as large as it was.
absl::StatusOr<std::unique_ptr<MappedFile>> OffloadFolder::OpenDat(
    int file) const {
  absl::StatusOr<std::unique_ptr<MappedFile>> opened =
      MappedFile::Open(files_[file].path);
  if (!opened.ok()) return opened;
  if ((*opened)->size_bytes() != files_[file].size_bytes) {
    return absl::DataLossError(
        absl::StrCat(files_[file].path, ": has ", (*opened)->size_bytes(),
                     " bytes, but ", index_path_, " says ",
                     files_[file].size_bytes, "; offload the model again"));
  }
  return opened;
}

absl::StatusOr<const TensorInfo*> OffloadFolder::Find(
    absl::string_view name) const {
  return table_.Find(name, index_path_);
}

absl::Status OffloadFolder::CheckKnown(const TensorInfo& tensor) const {
  if (tensor.file >= 0 && tensor.file < static_cast<int>(files_.size()) &&
      tensor.begin >= 0 && tensor.end <= files_[tensor.file].size_bytes &&
      tensor.begin <= tensor.end &&
      (tensor.in_place || stored_dtype_.contains(tensor.name))) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat(index_path_, ": tensor ", QuotedName(tensor.name),
                   " is not one of this folder's; pass one of tensors()"));
}

absl::StatusOr<TensorView> OffloadFolder::View(const TensorInfo& tensor) const {
  absl::Status status = CheckKnown(tensor);
  if (!status.ok()) return status;
  if (!tensor.in_place) {
    absl::StatusOr<TensorView> view =
        AllocateView(tensor, files_[tensor.file].path);
    if (!view.ok()) return view;
    status = ReadConverted(tensor, BytesOf(*view));
    if (!status.ok()) return status;
    return view;
  }
  File& file = *contents_[tensor.file];
  if (file.safetensors != nullptr) {
    TensorInfo there = tensor;
    there.file = 0;
    return file.safetensors->View(there);
  }
  if (tensor.nbytes() == 0) return TensorView();
  absl::MutexLock lock(&file.mutex);
  if (file.map == nullptr) {
    absl::StatusOr<std::unique_ptr<MappedFile>> opened = OpenDat(tensor.file);
    if (!opened.ok()) return opened.status();
    absl::StatusOr<std::shared_ptr<char>> map = (*opened)->Map();
    if (!map.ok()) return map.status();
    file.map = *std::move(map);
  }
  return TensorView{.data = file.map.get() + tensor.begin,
                    .nbytes = tensor.nbytes(),
                    .owner = file.map};
}

absl::Status OffloadFolder::Read(const TensorInfo& tensor,
                                 absl::Span<char> destination) const {
  absl::Status status = CheckKnown(tensor);
  if (!status.ok()) return status;
  status = CheckDestination(files_[tensor.file].path, tensor,
                            destination.size(), tensor.nbytes());
  if (!status.ok()) return status;
  if (!tensor.in_place) return ReadConverted(tensor, destination);
  if (const auto& file = contents_[tensor.file]->safetensors) {
    TensorInfo there = tensor;
    there.file = 0;
    return file->Read(there, destination);
  }
  absl::StatusOr<std::unique_ptr<MappedFile>> opened = OpenDat(tensor.file);
  if (!opened.ok()) return opened.status();
  return (*opened)->Read(tensor.begin, destination);
}

absl::Status OffloadFolder::ReadConverted(const TensorInfo& tensor,
                                          absl::Span<char> destination) const {
  TensorInfo stored = tensor;
  stored.file = 0;
  stored.in_place = true;
  stored.dtype = stored_dtype_.at(tensor.name);
  const std::string& path = files_[tensor.file].path;
  absl::StatusOr<TensorView> bytes = AllocateView(stored, path);
  if (!bytes.ok()) return bytes.status();
  absl::Status status =
      contents_[tensor.file]->safetensors->Read(stored, BytesOf(*bytes));
  if (!status.ok()) return status;
  return Convert(stored.dtype, bytes->data, tensor.dtype, destination.data(),
                 tensor.num_elements());
}

absl::Status OffloadFolder::ReadSlice(const TensorInfo& tensor,
                                      absl::Span<const SliceRange> slice,
                                      absl::Span<char> destination) const {
  absl::Status status = CheckKnown(tensor);
  if (!status.ok()) return status;
  const std::string& path = files_[tensor.file].path;
  TensorInfo dense = tensor;
  dense.begin = 0;
  dense.end = tensor.nbytes();
  const absl::StatusOr<TensorSlice> runs = TensorSlice::Create(dense, slice);
  if (!runs.ok()) return NamingFile(path, runs.status());
  status = CheckDestination(path, tensor, destination.size(), runs->nbytes());
  if (!status.ok()) return status;
  absl::StatusOr<TensorView> all = AllocateView(dense, path);
  if (!all.ok()) return all.status();
  status = Read(tensor, BytesOf(*all));
  if (!status.ok()) return status;
  char* next = destination.data();
  return runs->ForEachRun([&](int64_t offset) {
    std::memcpy(next, static_cast<const char*>(all->data) + offset,
                runs->run_bytes());
    next += runs->run_bytes();
    return absl::OkStatus();
  });
}

absl::Status OffloadFolder::CheckFilesUnchanged() const {
  for (int i = 0; i < static_cast<int>(files_.size()); ++i) {
    const auto& file = contents_[i]->safetensors;
    absl::Status status =
        file != nullptr ? file->CheckFilesUnchanged() : OpenDat(i).status();
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace pretrained
