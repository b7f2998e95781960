#include "checkpoint/torch/torch_checkpoint.h"

#include <cstddef>
#include <cstdint>
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
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/error_text.h"
#include "checkpoint/mapped_file.h"
#include "checkpoint/tensor_files.h"
#include "checkpoint/tensor_slice.h"
#include "checkpoint/tensor_table.h"
#include "checkpoint/torch/strided_copy.h"
#include "checkpoint/torch/strided_reader.h"
#include "checkpoint/torch/torch_file.h"
#include "checkpoint/torch/torch_objects.h"
#include "checkpoint/torch/zip_directory.h"
#include "checkpoint/torch/zip_record.h"
#include "dtypes/dtype.h"

namespace pretrained {
namespace {

using checkpoint_internal::CopyDimension;
using checkpoint_internal::GatherDimensions;
using checkpoint_internal::QuotedName;
using checkpoint_internal::StoredBytes;
using checkpoint_internal::TorchFile;

std::vector<int64_t> RowMajorStrides(absl::Span<const int64_t> shape) {
  std::vector<int64_t> strides(shape.size());
  int64_t dense = 1;
  for (size_t i = shape.size(); i > 0; --i) {
    strides[i - 1] = dense;
    dense *= shape[i - 1];
  }
  return strides;
}

// Whether stepping through `shape` by `strides` is stepping from one element of
// memory to the next. Dimensions of one element are never stepped along.
bool IsRowMajor(absl::Span<const int64_t> shape,
                absl::Span<const int64_t> strides) {
  int64_t dense = 1;
  for (size_t i = shape.size(); i > 0; --i) {
    if (shape[i - 1] == 1) continue;
    if (strides[i - 1] != dense) return false;
    dense *= shape[i - 1];
  }
  return true;
}

// Dimensions that bring `tensor`, which has elements, into a dense one.
std::vector<CopyDimension> DimensionsOf(const TensorInfo& tensor) {
  if (!tensor.strides.empty()) {
    return GatherDimensions(tensor.shape, tensor.strides);
  }
  return GatherDimensions(tensor.shape, RowMajorStrides(tensor.shape));
}

// Bytes that change places when the byte order does.
int64_t SwappedUnit(Dtype dtype) {
  return IsComplex(dtype) ? DtypeSize(dtype) / 2 : DtypeSize(dtype);
}

// The tensor of file `index` that `tensor` says, a view of the bytes `storage`
// with the number `number`.
TensorInfo InfoOf(TorchTensor& tensor, const TorchStorageInfo& storage,
                  int number) {
  TensorInfo info;
  info.name = std::move(tensor.name);
  info.dtype = tensor.dtype;
  info.shape = std::move(tensor.shape);
  info.file = storage.file;
  info.storage = number;
  info.storage_offset = tensor.storage_offset;
  if (info.num_elements() == 0) {  // There is nothing to be made of anything.
    info.storage_offset = 0;
    info.begin = info.end = storage.begin;
    return info;
  }
  const bool row_major = IsRowMajor(info.shape, tensor.strides);
  if (!row_major) info.strides = std::move(tensor.strides);
  const bool swapped = storage.big_endian && SwappedUnit(info.dtype) > 1;
  info.in_place = row_major && !storage.deflated && !swapped;
  if (storage.deflated) {
    info.begin = storage.begin;
    info.end = storage.end;
    return info;
  }
  const int64_t element_bytes = DtypeSize(info.dtype);
  info.begin = storage.begin + info.storage_offset * element_bytes;
  info.end =
      info.begin +
      checkpoint_internal::SpanElements(DimensionsOf(info)) * element_bytes;
  return info;
}

absl::Status DuplicateError(const std::vector<std::string>& paths,
                            const TensorInfo& a, const TensorInfo& b) {
  if (a.file == b.file) {
    return absl::DataLossError(absl::StrCat(
        paths[a.file], ": tensor ", QuotedName(b.name),
        ": the state dict has two of this name; save the checkpoint again"));
  }
  return absl::DataLossError(absl::StrCat(
      paths[b.file], ": tensor ", QuotedName(b.name), ": is also in ",
      paths[a.file],
      ", but each tensor belongs in one file; these are not files of one "
      "checkpoint, or it must be saved again"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<TorchCheckpoint>> TorchCheckpoint::Open(
    const std::vector<std::string>& paths,
    const TorchCheckpointOptions& options) {
  if (paths.empty()) {
    return absl::InvalidArgumentError(
        "no file was named; a checkpoint needs at least one");
  }
  auto checkpoint = absl::WrapUnique(new TorchCheckpoint(options.use_mmap));
  std::vector<TensorInfo> tensors;
  for (const std::string& path : paths) {
    const int index = static_cast<int>(checkpoint->files_.infos().size());
    const absl::StatusOr<const MappedFile*> opened =
        checkpoint->files_.Add(path);
    if (!opened.ok()) return opened.status();
    absl::StatusOr<TorchFile> file = checkpoint_internal::ReadTorchFile(
        [&](int64_t offset, absl::Span<char> destination) {
          return (*opened)->Read(offset, destination);
        },
        (*opened)->size_bytes(), path, options.check_crc);
    if (!file.ok()) return file.status();
    if (index == 0) checkpoint->legacy_ = file->legacy;
    absl::Status status = checkpoint->AddTensors(*file, index, tensors);
    if (!status.ok()) return status;
    checkpoint->AddFacts(*file);
  }
  absl::StatusOr<TensorTable> table = TensorTable::Create(
      std::move(tensors), [&](const TensorInfo& a, const TensorInfo& b) {
        return DuplicateError(paths, a, b);
      });
  if (!table.ok()) return table.status();
  checkpoint->table_ = *std::move(table);
  return checkpoint;
}

// Adds the tensors of `file`, the `index`-th, and its storages.
absl::Status TorchCheckpoint::AddTensors(TorchFile& file, int index,
                                         std::vector<TensorInfo>& tensors) {
  const int first_storage = static_cast<int>(storages_.size());
  for (size_t i = 0; i < file.storages.size(); ++i) {
    const StoredBytes& stored = file.storages[i];
    storages_.push_back({std::move(file.objects.storages[i].key), index,
                         stored.begin, stored.end, stored.size, stored.deflated,
                         file.big_endian});
  }
  tensors.reserve(tensors.size() + file.objects.tensors.size());
  for (TorchTensor& tensor : file.objects.tensors) {
    const int number = first_storage + tensor.storage;
    tensors.push_back(InfoOf(tensor, storages_[number], number));
    const TensorInfo& info = tensors.back();
    if (info.nbytes() - storages_[number].nbytes > kMaxRepeatedBytes) {
      return absl::ResourceExhaustedError(absl::StrCat(
          files_.infos()[index].path, ": tensor ", QuotedName(info.name),
          ": its ", info.nbytes(), " bytes repeat the ",
          storages_[number].nbytes, " that are stored, but at most ",
          kMaxRepeatedBytes, " more are made; save what it repeats"));
    }
  }
  return absl::OkStatus();
}

// Adds what `file` holds besides tensors, unless an earlier file had it.
void TorchCheckpoint::AddFacts(TorchFile& file) {
  absl::flat_hash_set<std::string> keys;
  for (const auto& entry : metadata_) keys.insert(entry.first);
  for (auto& entry : file.objects.values) {
    if (keys.insert(entry.first).second) metadata_.push_back(std::move(entry));
  }
  absl::flat_hash_set<std::string> globals(unknown_globals_.begin(),
                                           unknown_globals_.end());
  for (const std::string& global : file.objects.unknown_globals) {
    if (globals.insert(global).second) unknown_globals_.push_back(global);
  }
}

absl::StatusOr<const TensorInfo*> TorchCheckpoint::Find(
    absl::string_view name) const {
  return table_.Find(name, files_.Where());
}

absl::StatusOr<TensorView> TorchCheckpoint::View(
    const TensorInfo& tensor) const {
  if (tensor.in_place) return files_.View(tensor);
  if (absl::Status s = CheckInStorage(tensor); !s.ok()) return s;
  absl::StatusOr<TensorView> view = checkpoint_internal::AllocateView(
      tensor, files_.infos()[tensor.file].path);
  if (!view.ok()) return view;
  absl::Status status = ReadOutOfPlace(
      tensor, absl::MakeSpan(static_cast<char*>(view->data), view->nbytes));
  if (!status.ok()) return status;
  return view;
}

absl::Status TorchCheckpoint::Read(const TensorInfo& tensor,
                                   absl::Span<char> destination) const {
  if (tensor.in_place) return files_.Read(tensor, destination);
  if (absl::Status s = CheckInStorage(tensor); !s.ok()) return s;
  absl::Status status = checkpoint_internal::CheckDestination(
      files_.infos()[tensor.file].path, tensor, destination.size(),
      tensor.nbytes());
  if (!status.ok()) return status;
  return ReadOutOfPlace(tensor, destination);
}

// A slice of a strided tensor is a strided tensor.
absl::Status TorchCheckpoint::ReadSlice(const TensorInfo& tensor,
                                        absl::Span<const SliceRange> slice,
                                        absl::Span<char> destination) const {
  if (tensor.in_place) return files_.ReadSlice(tensor, slice, destination);
  if (absl::Status s = CheckInStorage(tensor); !s.ok()) return s;
  const std::string& path = files_.infos()[tensor.file].path;
  TensorInfo dense = tensor;
  dense.begin = 0;
  dense.end = tensor.nbytes();
  const absl::StatusOr<TensorSlice> checked = TensorSlice::Create(dense, slice);
  if (!checked.ok()) {
    return absl::Status(checked.status().code(),
                        absl::StrCat(path, ": ", checked.status().message()));
  }
  absl::Status status = checkpoint_internal::CheckDestination(
      path, tensor, destination.size(), checked->nbytes());
  if (!status.ok()) return status;

  TensorInfo part = tensor;
  if (part.strides.empty()) part.strides = RowMajorStrides(part.shape);
  for (size_t i = 0; i < slice.size(); ++i) {
    part.storage_offset += slice[i].start * part.strides[i];
    part.shape[i] = slice[i].stop - slice[i].start;
  }
  return ReadOutOfPlace(part, destination);
}

absl::Status TorchCheckpoint::CheckFilesUnchanged() const {
  return files_.CheckUnchanged();
}

// That every element of `tensor`, which is not in place, lies in the storage it
// names; what this checkpoint lists always does.
absl::Status TorchCheckpoint::CheckInStorage(const TensorInfo& tensor) const {
  const auto inside = [&] {
    if (tensor.storage < 0 ||
        static_cast<size_t>(tensor.storage) >= storages_.size()) {
      return false;
    }
    const TorchStorageInfo& storage = storages_[tensor.storage];
    if (storage.file != tensor.file || tensor.storage_offset < 0 ||
        (!tensor.strides.empty() &&
         tensor.strides.size() != tensor.shape.size())) {
      return false;
    }
    const int64_t room = storage.nbytes / DtypeSize(tensor.dtype);
    int64_t last = tensor.storage_offset;
    int64_t dense = 1;  // Steps of a row-major tensor.
    for (size_t i = tensor.shape.size(); i > 0; --i) {
      const int64_t count = tensor.shape[i - 1];
      const int64_t stride =
          tensor.strides.empty() ? dense : tensor.strides[i - 1];
      int64_t reach = 0;
      if (count < 1 || stride < 0 ||
          __builtin_mul_overflow(count - 1, stride, &reach) ||
          __builtin_add_overflow(last, reach, &last) ||
          __builtin_mul_overflow(dense, count, &dense)) {
        return false;
      }
    }
    return last < room;
  };
  if (inside()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      files_.Where(), ": tensor ", QuotedName(tensor.name),
      ": its elements are not in a storage of this checkpoint; pass a "
      "TensorInfo that it lists"));
}

// Makes `tensor`, which passed CheckInStorage() or is a part of one that did.
absl::Status TorchCheckpoint::ReadOutOfPlace(
    const TensorInfo& tensor, absl::Span<char> destination) const {
  if (destination.empty()) return absl::OkStatus();
  const TorchStorageInfo& storage = storages_[tensor.storage];
  absl::Status status;
  if (storage.deflated) {
    status = ReadDeflated(tensor, destination);
  } else {
    const absl::StatusOr<const MappedFile*> file = FileOf(storage);
    if (!file.ok()) return file.status();
    const int64_t element_bytes = DtypeSize(tensor.dtype);
    status = checkpoint_internal::ReadStrided(
        [&](int64_t offset, absl::Span<char> bytes) {
          return (*file)->Read(offset, bytes);
        },
        storage.begin + tensor.storage_offset * element_bytes, element_bytes,
        DimensionsOf(tensor), destination.data());
  }
  if (status.ok() && storage.big_endian) {
    checkpoint_internal::SwapBytes(destination, SwappedUnit(tensor.dtype));
  }
  return status;
}

absl::Status TorchCheckpoint::ReadDeflated(const TensorInfo& tensor,
                                           absl::Span<char> destination) const {
  const int64_t nbytes = static_cast<int64_t>(destination.size());
  if (tensor.strides.empty() && nbytes == storages_[tensor.storage].nbytes) {
    return InflateInto(tensor.storage, destination);
  }
  const absl::StatusOr<TensorView> inflated = Inflate(tensor.storage);
  if (!inflated.ok()) return inflated.status();
  const int64_t element_bytes = DtypeSize(tensor.dtype);
  checkpoint_internal::CopyStrided(static_cast<const char*>(inflated->data) +
                                       tensor.storage_offset * element_bytes,
                                   destination.data(), element_bytes,
                                   DimensionsOf(tensor));
  return absl::OkStatus();
}

// All of `storage`, from the last call if it was about the same one: tensors
// that share a storage follow each other, as do slices of one tensor.
absl::StatusOr<TensorView> TorchCheckpoint::Inflate(int storage) const {
  {
    absl::MutexLock lock(&mutex_);
    if (inflated_storage_ == storage) return inflated_;
  }
  TensorInfo all;
  all.name = absl::StrCat("storage ", storages_[storage].key);
  all.dtype = Dtype::kUint8;
  all.in_place = false;
  all.shape = {storages_[storage].nbytes};
  const absl::StatusOr<TensorView> bytes = checkpoint_internal::AllocateView(
      all, files_.infos()[storages_[storage].file].path);
  if (!bytes.ok()) return bytes.status();
  absl::Status status = InflateInto(
      storage, absl::MakeSpan(static_cast<char*>(bytes->data), bytes->nbytes));
  if (!status.ok()) return status;
  absl::MutexLock lock(&mutex_);
  inflated_storage_ = storage;
  inflated_ = *bytes;
  return inflated_;
}

absl::Status TorchCheckpoint::InflateInto(int storage,
                                          absl::Span<char> destination) const {
  const TorchStorageInfo& from = storages_[storage];
  const absl::StatusOr<const MappedFile*> file = FileOf(from);
  if (!file.ok()) return file.status();
  const std::string name = absl::StrCat("data/", from.key);
  checkpoint_internal::ZipRecord record;
  record.name = name;
  record.begin = from.begin;
  record.end = from.end;
  record.size = from.nbytes;
  record.deflated = true;
  return checkpoint_internal::ReadZipRecord(
      [&](int64_t offset, absl::Span<char> bytes) {
        return (*file)->Read(offset, bytes);
      },
      record, (*file)->path(), destination);
}

absl::StatusOr<const MappedFile*> TorchCheckpoint::FileOf(
    const TorchStorageInfo& storage) const {
  TensorInfo bytes;  // One that has the bytes of the storage.
  bytes.file = storage.file;
  bytes.begin = storage.begin;
  bytes.end = storage.end;
  return files_.FileOf(bytes);
}

}  // namespace pretrained
