#include "checkpoint/tensor_files.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/error_text.h"
#include "checkpoint/mapped_file.h"
#include "checkpoint/tensor_slice.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

// Runs that begin this near to each other are read together: below it a pread()
// costs more than the bytes between them.
constexpr int64_t kNearBytes = int64_t{16} << 10;
constexpr int64_t kWindowBytes = int64_t{256} << 10;

// Memory of a view that is not mapped: as aligned as any kernel wants it.
constexpr std::align_val_t kViewAlignment{64};

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

}  // namespace

absl::StatusOr<const MappedFile*> TensorFiles::Add(const std::string& path) {
  absl::StatusOr<std::unique_ptr<MappedFile>> file = MappedFile::Open(path);
  if (!file.ok()) return file.status();
  infos_.push_back({path, (*file)->size_bytes()});
  files_.push_back(*std::move(file));
  return files_.back().get();
}

std::string TensorFiles::Where() const {
  if (infos_.empty()) return "no file";
  if (infos_.size() == 1) return infos_[0].path;
  return absl::StrCat(infos_[0].path, " and ", infos_.size() - 1,
                      " more files");
}

absl::StatusOr<const MappedFile*> TensorFiles::FileOf(
    const TensorInfo& tensor) const {
  if (tensor.file < 0 || static_cast<size_t>(tensor.file) >= files_.size() ||
      tensor.begin < 0 || tensor.begin > tensor.end ||
      tensor.end > files_[tensor.file]->size_bytes()) {
    return absl::InvalidArgumentError(absl::StrCat(
        Where(), ": tensor ", QuotedName(tensor.name), ": bytes [",
        tensor.begin, ", ", tensor.end, ") of file ", tensor.file,
        " are not in this checkpoint; pass a TensorInfo that it lists"));
  }
  return files_[tensor.file].get();
}

absl::StatusOr<TensorView> TensorFiles::View(const TensorInfo& tensor) const {
  const absl::StatusOr<const MappedFile*> file = FileOf(tensor);
  if (!file.ok()) return file.status();
  if (tensor.nbytes() == 0) return TensorView();
  if (!use_mmap_) {
    absl::StatusOr<TensorView> view = AllocateView(tensor, (*file)->path());
    if (!view.ok()) return view;
    absl::Status status = Read(
        tensor, absl::MakeSpan(static_cast<char*>(view->data), view->nbytes));
    if (!status.ok()) return status;
    return view;
  }
  absl::StatusOr<std::shared_ptr<char>> map = (*file)->Map();
  if (!map.ok()) return map.status();
  TensorView view;
  view.data = map->get() + tensor.begin;
  view.nbytes = tensor.nbytes();
  view.owner = *std::move(map);
  return view;
}

absl::Status TensorFiles::Read(const TensorInfo& tensor,
                               absl::Span<char> destination) const {
  const absl::StatusOr<const MappedFile*> file = FileOf(tensor);
  if (!file.ok()) return file.status();
  absl::Status status = CheckDestination((*file)->path(), tensor,
                                         destination.size(), tensor.nbytes());
  if (!status.ok()) return status;
  return (*file)->Read(tensor.begin, destination);
}

absl::Status TensorFiles::ReadSlice(const TensorInfo& tensor,
                                    absl::Span<const SliceRange> slice,
                                    absl::Span<char> destination) const {
  const absl::StatusOr<const MappedFile*> file = FileOf(tensor);
  if (!file.ok()) return file.status();
  const absl::StatusOr<TensorSlice> runs = TensorSlice::Create(tensor, slice);
  if (!runs.ok()) {
    return absl::Status(
        runs.status().code(),
        absl::StrCat((*file)->path(), ": ", runs.status().message()));
  }
  absl::Status status = CheckDestination((*file)->path(), tensor,
                                         destination.size(), runs->nbytes());
  if (!status.ok()) return status;
  const bool near = runs->span_bytes(kNearBytes) > runs->run_bytes();
  return near ? ReadNearRuns(**file, tensor, *runs, destination.data())
              : ReadRuns(**file, tensor.begin, *runs, destination.data());
}

absl::Status TensorFiles::CheckUnchanged() const {
  for (const std::unique_ptr<MappedFile>& file : files_) {
    if (absl::Status s = file->CheckUnchanged(); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::StatusOr<TensorView> AllocateView(const TensorInfo& tensor,
                                        const std::string& path) {
  TensorView view;
  view.nbytes = tensor.nbytes();
  if (view.nbytes == 0) return view;
  view.data = operator new(view.nbytes, kViewAlignment, std::nothrow);
  if (view.data == nullptr) {
    return absl::ResourceExhaustedError(
        absl::StrCat(path, ": tensor ", QuotedName(tensor.name),
                     ": not enough memory for its ", view.nbytes, " bytes"));
  }
  view.owner = std::shared_ptr<void>(
      view.data, [](void* p) { operator delete(p, kViewAlignment); });
  return view;
}

absl::Status CheckDestination(const std::string& path, const TensorInfo& tensor,
                              uint64_t got, int64_t want) {
  if (got == static_cast<uint64_t>(want)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      path, ": tensor ", QuotedName(tensor.name), ": the destination has ", got,
      " bytes, but needs ", want, "; pass exactly as many"));
}

}  // namespace checkpoint_internal
}  // namespace pretrained
