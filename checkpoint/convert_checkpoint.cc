#include "checkpoint/convert_checkpoint.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/error_text.h"
#include "checkpoint/save/save_checkpoint.h"
#include "checkpoint/tensor_source.h"
#include "checkpoint/tensor_to_write.h"
#include "checkpoint/tied_aliases.h"
#include "dtypes/dtype.h"

namespace pretrained {
namespace {

using checkpoint_internal::QuotedName;

// Shards that are written at a time: while one waits for the disk, another is
// read and converted.
constexpr int kWriters = 2;

constexpr absl::string_view kWeightsExtensions[] = {".safetensors", ".bin",
                                                    ".pt", ".pth", ".ckpt"};

// Weights of another framework have other names and layouts.
absl::Status CheckFramework(const Checkpoint& source) {
  if (source.format() != "safetensors") return absl::OkStatus();
  for (const auto& [key, value] : source.metadata()) {
    if (key != "format" || value == "pt") continue;
    return absl::UnimplementedError(absl::StrCat(
        source.files()[0].path, ": its metadata says format ",
        QuotedName(value),
        ", but weights in PyTorch's names and layout, 'pt', are expected; save "
        "the model again from PyTorch"));
  }
  return absl::OkStatus();
}

// Has the last of `tensors` that is produced, whichever that will be, check
// that `source` is what it was: one that changed under our hands has given
// other bytes than its own, and must not replace anything.
void CheckAfterTheLast(const Checkpoint& source,
                       std::vector<TensorToWrite>& tensors) {
  const auto left = std::make_shared<std::atomic<int64_t>>(0);
  for (TensorToWrite& tensor : tensors) {
    const absl::StatusOr<int64_t> bytes = CheckedBytes(tensor);
    if (tensor.alias_of >= 0 || !bytes.ok() || *bytes == 0) continue;
    ++*left;
    tensor.produce = [&source, left, produce = std::move(tensor.produce)](
                         TensorSink sink) -> absl::Status {
      absl::Status status = produce(sink);
      if (status.ok() && --*left == 0) status = source.CheckFilesUnchanged();
      return status;
    };
  }
}

std::vector<std::pair<std::string, std::string>> MetadataFor(
    const Checkpoint& source) {
  std::vector<std::pair<std::string, std::string>> metadata;
  if (source.format() == "safetensors") {
    metadata.assign(source.metadata().begin(), source.metadata().end());
  }
  return metadata;
}

}  // namespace

bool IsWeightsFileName(const std::string& path) {
  return std::any_of(std::begin(kWeightsExtensions),
                     std::end(kWeightsExtensions),
                     [&](absl::string_view extension) {
                       return absl::EndsWith(path, extension);
                     });
}

bool IsFileDestination(const std::string& destination) {
  std::error_code error;
  return IsWeightsFileName(destination) &&
         !std::filesystem::is_directory(destination, error);
}

absl::StatusOr<SavedCheckpoint> ConvertCheckpoint(
    const Checkpoint& source, const std::string& destination,
    const ConvertCheckpointOptions& options) {
  absl::Status status = CheckFramework(source);
  if (!status.ok()) return status;
  const absl::Span<const TensorInfo> infos = source.tensors();
  const std::vector<int> first = FindAliases(infos);
  std::vector<absl::string_view> names;
  for (const TensorInfo& info : infos) names.push_back(info.name);
  absl::StatusOr<std::vector<bool>> left_out =
      AliasesToLeaveOut(names, first, options.tied_weights_keys);
  if (!left_out.ok()) return left_out.status();
  const bool views = options.format != "safetensors";
  std::vector<TensorToWrite> tensors;
  std::vector<std::string> dropped;
  for (size_t i = 0; i < infos.size(); ++i) {
    if (!views && (*left_out)[i]) {
      dropped.push_back(infos[i].name);
      continue;
    }
    const bool converts =
        options.dtype.has_value() && IsFloatingPoint(infos[i].dtype);
    tensors.push_back(TensorFromCheckpoint(
        source, infos[i], converts ? *options.dtype : infos[i].dtype));
    if (views) tensors.back().alias_of = first[i];
  }
  const SaveCheckpointOptions save{.format = options.format,
                                   .max_shard_bytes = options.max_shard_bytes,
                                   .variant = options.variant,
                                   .metadata = MetadataFor(source),
                                   .other_files = options.other_files,
                                   .num_writers = kWriters,
                                   .progress = options.progress};
  CheckAfterTheLast(source, tensors);
  absl::StatusOr<SavedCheckpoint> saved =
      IsFileDestination(destination)
          ? SaveCheckpointFile(destination, std::move(tensors), save)
          : SaveCheckpoint(destination, std::move(tensors), save);
  if (!saved.ok()) return saved;
  saved->dropped_aliases.insert(saved->dropped_aliases.end(), dropped.begin(),
                                dropped.end());
  return saved;
}

}  // namespace pretrained
