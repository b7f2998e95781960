#include "checkpoint/safetensors_checkpoint.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <memory>
#include <new>
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
#include "checkpoint/tensor_slice.h"
#include "checkpoint/tensor_table.h"

namespace pretrained {
namespace {

using checkpoint_internal::QuotedName;

// Runs that begin this near to each other are read together: below it a pread()
// costs more than the bytes between them.
constexpr int64_t kNearBytes = int64_t{16} << 10;
constexpr int64_t kWindowBytes = int64_t{256} << 10;

// Memory of a view that is not mapped: as aligned as any kernel wants it.
constexpr std::align_val_t kViewAlignment{64};

absl::Status SizeMismatch(absl::string_view path, const TensorInfo& tensor,
                          size_t got, int64_t want) {
  return absl::InvalidArgumentError(absl::StrCat(
      path, ": tensor ", QuotedName(tensor.name), ": the destination has ", got,
      " bytes, but needs ", want, "; pass exactly as many"));
}

// Reads the runs of `slice` of the tensor at byte `begin` one by one.
absl::Status ReadRuns(const MappedFile& file, int64_t begin,
                      const TensorSlice& slice, char* destination) {
  return slice.ForEachRun([&](int64_t offset) {
    const absl::Span<char> run(destination, slice.run_bytes());
    destination += slice.run_bytes();
    return file.Read(begin + offset, run);
  });
}

// As ReadRuns(), for runs near each other: reads what holds many of them, with
// the bytes between, and picks.
absl::Status ReadNearRuns(const MappedFile& file, const TensorInfo& tensor,
                          const TensorSlice& slice, char* destination) {
  std::vector<char> window(
      std::min(kWindowBytes, slice.span_bytes(kNearBytes)));
  int64_t window_begin = 0;  // The window holds [window_begin, window_end)
  int64_t window_end = 0;    // of the tensor.
  return slice.ForEachRun([&](int64_t offset) {
    if (offset + slice.run_bytes() > window_end) {
      window_begin = offset;
      window_end = std::min<int64_t>(offset + window.size(), tensor.nbytes());
      const absl::Span<char> part(window.data(), window_end - window_begin);
      if (absl::Status s = file.Read(tensor.begin + window_begin, part);
          !s.ok()) {
        return s;
      }
    }
    std::memcpy(destination, window.data() + (offset - window_begin),
                slice.run_bytes());
    destination += slice.run_bytes();
    return absl::OkStatus();
  });
}

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
  auto checkpoint = absl::WrapUnique(new SafetensorsCheckpoint);
  checkpoint->options_ = options;
  std::vector<TensorInfo> tensors;
  for (const std::string& path : paths) {
    absl::StatusOr<std::unique_ptr<MappedFile>> file = MappedFile::Open(path);
    if (!file.ok()) return file.status();
    absl::StatusOr<SafetensorsReader> reader =
        SafetensorsReader::ReadFrom(**file);
    if (!reader.ok()) return reader.status();

    const int index = static_cast<int>(checkpoint->files_.size());
    checkpoint->infos_.push_back({path, (*file)->size_bytes()});
    checkpoint->files_.push_back(*std::move(file));
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
  return table_.Find(
      name, files_.size() == 1
                ? infos_[0].path
                : absl::StrCat(infos_[0].path, " and ", files_.size() - 1,
                               " more files"));
}

absl::StatusOr<const MappedFile*> SafetensorsCheckpoint::FileOf(
    const TensorInfo& tensor) const {
  if (tensor.file < 0 || static_cast<size_t>(tensor.file) >= files_.size() ||
      tensor.begin < 0 || tensor.begin > tensor.end ||
      tensor.end > files_[tensor.file]->size_bytes()) {
    return absl::InvalidArgumentError(absl::StrCat(
        infos_[0].path, ": tensor ", QuotedName(tensor.name), ": bytes [",
        tensor.begin, ", ", tensor.end, ") of file ", tensor.file,
        " are not in this checkpoint; pass a TensorInfo that it lists"));
  }
  return files_[tensor.file].get();
}

absl::StatusOr<TensorView> SafetensorsCheckpoint::View(
    const TensorInfo& tensor) const {
  const absl::StatusOr<const MappedFile*> file = FileOf(tensor);
  if (!file.ok()) return file.status();
  if (tensor.nbytes() == 0) return TensorView();
  if (!options_.use_mmap) return Copy(tensor);
  absl::StatusOr<std::shared_ptr<char>> map = (*file)->Map();
  if (!map.ok()) return map.status();
  TensorView view;
  view.data = map->get() + tensor.begin;
  view.nbytes = tensor.nbytes();
  view.owner = *std::move(map);
  return view;
}

absl::StatusOr<TensorView> SafetensorsCheckpoint::Copy(
    const TensorInfo& tensor) const {
  char* const data = static_cast<char*>(operator new(
      tensor.nbytes(), kViewAlignment, std::nothrow));
  if (data == nullptr) {
    return absl::ResourceExhaustedError(
        absl::StrCat(infos_[tensor.file].path, ": tensor ",
                     QuotedName(tensor.name), ": not enough memory for its ",
                     tensor.nbytes(), " bytes; load with mapping"));
  }
  TensorView view;
  view.data = data;
  view.nbytes = tensor.nbytes();
  view.owner = std::shared_ptr<void>(
      data, [](void* p) { operator delete(p, kViewAlignment); });
  absl::Status s = Read(tensor, absl::MakeSpan(data, view.nbytes));
  if (!s.ok()) return s;
  return view;
}

absl::Status SafetensorsCheckpoint::Read(const TensorInfo& tensor,
                                         absl::Span<char> destination) const {
  const absl::StatusOr<const MappedFile*> file = FileOf(tensor);
  if (!file.ok()) return file.status();
  if (destination.size() != static_cast<uint64_t>(tensor.nbytes())) {
    return SizeMismatch((*file)->path(), tensor, destination.size(),
                        tensor.nbytes());
  }
  return (*file)->Read(tensor.begin, destination);
}

absl::Status SafetensorsCheckpoint::ReadSlice(
    const TensorInfo& tensor, absl::Span<const SliceRange> slice,
    absl::Span<char> destination) const {
  const absl::StatusOr<const MappedFile*> file = FileOf(tensor);
  if (!file.ok()) return file.status();
  const absl::StatusOr<TensorSlice> runs = TensorSlice::Create(tensor, slice);
  if (!runs.ok()) {
    return absl::Status(
        runs.status().code(),
        absl::StrCat((*file)->path(), ": ", runs.status().message()));
  }
  if (destination.size() != static_cast<uint64_t>(runs->nbytes())) {
    return SizeMismatch((*file)->path(), tensor, destination.size(),
                        runs->nbytes());
  }
  const bool near = runs->span_bytes(kNearBytes) > runs->run_bytes();
  return near ? ReadNearRuns(**file, tensor, *runs, destination.data())
              : ReadRuns(**file, tensor.begin, *runs, destination.data());
}

absl::Status SafetensorsCheckpoint::CheckFilesUnchanged() const {
  for (const std::unique_ptr<MappedFile>& file : files_) {
    if (absl::Status s = file->CheckUnchanged(); !s.ok()) return s;
  }
  return absl::OkStatus();
}

}  // namespace pretrained
