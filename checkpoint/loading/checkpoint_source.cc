#include "checkpoint/loading/checkpoint_source.h"

#include <sys/types.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/loading/file_source.h"
#include "dtypes/dtype.h"

namespace pretrained {
namespace {

// Bytes [begin, end) of a file, as a tensor that no checkpoint lists.
TensorInfo Range(int file, int64_t begin, int64_t end) {
  return {.dtype = Dtype::kUint8,
          .shape = {end - begin},
          .file = file,
          .begin = begin,
          .end = end};
}

class OfCheckpoint final : public FileSource {
 public:
  OfCheckpoint(const Checkpoint& checkpoint, int file)
      : checkpoint_(checkpoint), file_(file) {}

  ssize_t ReadAt(char* data, size_t size, int64_t offset) const override {
    const int64_t end =
        std::min<int64_t>(offset + static_cast<int64_t>(size),
                          checkpoint_.files()[file_].size_bytes);
    if (offset >= end) return 0;
    const absl::Status status = checkpoint_.Read(
        Range(file_, offset, end), absl::MakeSpan(data, end - offset));
    // Of a file that was cut short, nothing more can be had.
    if (absl::IsDataLoss(status)) return 0;
    return status.ok() ? end - offset : -EIO;
  }
  const std::string& path() const override {
    return checkpoint_.files()[file_].path;
  }

 private:
  const Checkpoint& checkpoint_;
  const int file_;
};

}  // namespace

bool ReadsRanges(const Checkpoint& checkpoint, const TensorInfo& tensor) {
  if (tensor.begin >= tensor.end) return true;
  char byte;
  const absl::Status status =
      checkpoint.Read(Range(tensor.file, tensor.begin, tensor.begin + 1),
                      absl::MakeSpan(&byte, 1));
  return !absl::IsNotFound(status);
}

std::unique_ptr<FileSource> SourceOfFile(const Checkpoint& checkpoint,
                                         int file) {
  return std::make_unique<OfCheckpoint>(checkpoint, file);
}

absl::StatusOr<std::unique_ptr<FileSource>> DirectSourceOfFile(
    const Checkpoint& checkpoint, const TensorInfo& tensor) {
  const CheckpointFile& file = checkpoint.files()[tensor.file];
  absl::StatusOr<std::unique_ptr<FileSource>> direct =
      OpenFileSource(file, ReadMode::kDirect);
  if (absl::IsNotFound(direct.status())) {
    return absl::UnimplementedError(
        absl::StrCat(file.path, ": is no longer there"));
  }
  if (!direct.ok()) return direct;
  // Both files, if they are two, by the path and by what is open.
  absl::StatusOr<std::unique_ptr<FileSource>> by_path =
      OpenFileSource(file, ReadMode::kBuffered);
  if (!by_path.ok()) return by_path;
  constexpr int64_t kProbeBytes = 4096;
  const int64_t begins[] = {0, tensor.begin,
                            std::max<int64_t>(tensor.end - kProbeBytes, 0)};
  for (const int64_t begin : begins) {
    const int64_t end = std::min(begin + kProbeBytes, file.size_bytes);
    std::vector<char> there(end - begin);
    std::vector<char> open(end - begin);
    absl::Status status = ReadRange(**by_path, begin, end, there.data());
    if (status.ok()) {
      status =
          checkpoint.Read(Range(tensor.file, begin, end), absl::MakeSpan(open));
    }
    if (!status.ok()) return status;
    if (there != open) {
      return absl::UnimplementedError(absl::StrCat(
          file.path, ": another file has taken its place since it was opened"));
    }
  }
  return direct;
}

}  // namespace pretrained
