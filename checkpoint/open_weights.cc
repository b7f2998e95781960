#include "checkpoint/open_weights.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/checkpoint_format.h"
#include "checkpoint/checkpoint_formats.h"
#include "checkpoint/checkpoint_index.h"
#include "checkpoint/error_text.h"
#include "checkpoint/mapped_file.h"
#include "checkpoint/weights_names.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

// "dir/" of "dir/name", and "name".
absl::string_view FolderOf(absl::string_view path) {
  return path.substr(0, path.rfind('/') + 1);  // npos + 1 is 0.
}
absl::string_view NameOf(absl::string_view path) {
  return path.substr(FolderOf(path).size());
}

std::string KnownFormats() {
  return absl::StrJoin(CheckpointFormats(), " or ",
                       [](std::string* out, const CheckpointFormat* format) {
                         absl::StrAppend(out, format->name);
                       });
}

// The format of the file at `path`. kUnimplemented where it is known, but not
// read; kInvalidArgument where it is not known.
absl::StatusOr<const CheckpointFormat*> RecognizeFormat(
    const std::string& path) {
  const absl::StatusOr<std::unique_ptr<MappedFile>> file =
      MappedFile::Open(path);
  if (!file.ok()) return file.status();
  char start[CheckpointFormat::kSniffedBytes];
  const absl::Span<char> bytes(
      start, std::min<int64_t>(sizeof(start), (*file)->size_bytes()));
  if (absl::Status s = (*file)->Read(0, bytes); !s.ok()) return s;
  const absl::string_view head(bytes.data(), bytes.size());

  for (const CheckpointFormat* format : CheckpointFormats()) {
    if (format->recognizes(NameOf(path), head)) return format;
  }
  for (const WeightsName& known : KnownWeightsNames()) {
    const bool is_known =
        (!known.head.empty() && absl::StartsWith(head, known.head)) ||
        NameOf(path) == known.weights_name;
    if (!is_known) continue;
    return absl::UnimplementedError(
        absl::StrCat(path, ": looks like ", known.what,
                     ", but this version reads ", KnownFormats(),
                     "; save it again with PyTorch's save_pretrained(.., "
                     "safe_serialization=True)"));
  }
  return absl::InvalidArgumentError(absl::StrCat(
      path, ": neither its name nor its first bytes are those of ",
      KnownFormats(), "; pass a file of weights, or the folder that holds it"));
}

// Which format reads the shards at `paths`: that of the first one, or, where
// that tells nothing, the one whose indexes are called so.
absl::StatusOr<const CheckpointFormat*> FormatOfShards(
    const std::string& index_path, const std::vector<std::string>& paths) {
  absl::StatusOr<const CheckpointFormat*> format = RecognizeFormat(paths[0]);
  if (!absl::IsInvalidArgument(format.status())) return format;
  for (const CheckpointFormat* by_name : CheckpointFormats()) {
    if (IsVariantOf(NameOf(index_path), by_name->index_name)) return by_name;
  }
  return format;
}

// kNotFound if any shard is not there; the message counts what lies in them.
absl::Status CheckShardsExist(const std::string& index_path,
                              const CheckpointIndex& index,
                              const std::vector<std::string>& paths) {
  std::vector<int64_t> tensors(paths.size());
  for (const WeightMapEntry& entry : index.weight_map()) {
    ++tensors[entry.shard];
  }
  std::string first;
  int missing = 0;
  for (size_t i = 0; i < paths.size(); ++i) {
    struct stat info;
    if (stat(paths[i].c_str(), &info) == 0 ||
        (errno != ENOENT && errno != ENOTDIR)) {
      continue;
    }
    if (++missing > 1) continue;
    const bool is_link = lstat(paths[i].c_str(), &info) == 0;
    first =
        absl::StrCat("shard ", QuotedName(index.shards()[i]),
                     is_link ? " is a symbolic link to a file that is not there"
                             : " is not beside it",
                     ", but holds ", tensors[i], " of ",
                     index.weight_map().size(), " tensors");
  }
  if (missing == 0) return absl::OkStatus();
  const std::string more =
      missing > 1 ? absl::StrCat(", and ", missing - 1, " more of ",
                                 paths.size(), " shards are missing")
                  : "";
  return absl::NotFoundError(absl::StrCat(index_path, ": ", first, more,
                                          "; download ",
                                          missing > 1 ? "them" : "it"));
}

// kDataLoss if a tensor lies in another shard than the one that the index puts
// it in. Tensors that only one of the two knows are no contradiction.
absl::Status CheckAgainstIndex(const std::string& index_path,
                               const CheckpointIndex& index,
                               const Checkpoint& checkpoint) {
  absl::flat_hash_map<absl::string_view, int> shard_of;
  shard_of.reserve(index.weight_map().size());
  for (const WeightMapEntry& entry : index.weight_map()) {
    shard_of[entry.tensor] = entry.shard;
  }
  for (const TensorInfo& tensor : checkpoint.tensors()) {
    const auto found = shard_of.find(tensor.name);
    if (found == shard_of.end() || found->second == tensor.file) continue;
    return absl::DataLossError(absl::StrCat(
        index_path, ": tensor ", QuotedName(tensor.name),
        ": the index puts it into ", QuotedName(index.shards()[found->second]),
        ", but it lies in ", QuotedName(index.shards()[tensor.file]),
        "; these are not of one checkpoint: download it again"));
  }
  return absl::OkStatus();
}

// What a driver makes of the shards, and the names that their index lists.
class IndexedCheckpoint final : public Checkpoint {
 public:
  IndexedCheckpoint(std::unique_ptr<Checkpoint> shards,
                    const CheckpointIndex& index)
      : shards_(std::move(shards)) {
    index_keys_.reserve(index.weight_map().size());
    for (const WeightMapEntry& entry : index.weight_map()) {
      index_keys_.push_back(entry.tensor);
    }
  }

  absl::Span<const std::string> index_keys() const override {
    return index_keys_;
  }

  absl::string_view format() const override { return shards_->format(); }
  absl::Span<const CheckpointFile> files() const override {
    return shards_->files();
  }
  absl::Span<const TensorInfo> tensors() const override {
    return shards_->tensors();
  }
  absl::Span<const std::pair<std::string, std::string>> metadata()
      const override {
    return shards_->metadata();
  }
  absl::StatusOr<const TensorInfo*> Find(
      absl::string_view name) const override {
    return shards_->Find(name);
  }
  absl::StatusOr<TensorView> View(const TensorInfo& tensor) const override {
    return shards_->View(tensor);
  }
  absl::Status Read(const TensorInfo& tensor,
                    absl::Span<char> destination) const override {
    return shards_->Read(tensor, destination);
  }
  absl::Status ReadSlice(const TensorInfo& tensor,
                         absl::Span<const SliceRange> slice,
                         absl::Span<char> destination) const override {
    return shards_->ReadSlice(tensor, slice, destination);
  }
  int FileDescriptor(int file) const override {
    return shards_->FileDescriptor(file);
  }
  absl::Status CheckFilesUnchanged() const override {
    return shards_->CheckFilesUnchanged();
  }

 private:
  const std::unique_ptr<Checkpoint> shards_;
  std::vector<std::string> index_keys_;
};

}  // namespace

bool IsIndexName(absl::string_view file_name) {
  return absl::EndsWith(file_name, ".json") &&
         absl::StrContains(file_name, ".index.");
}

absl::StatusOr<std::unique_ptr<Checkpoint>> OpenWeights(
    const std::string& path, const OpenCheckpointOptions& options) {
  const absl::StatusOr<const CheckpointFormat*> format = RecognizeFormat(path);
  if (!format.ok()) return format.status();
  return (*format)->open({path}, options);
}

absl::StatusOr<std::unique_ptr<Checkpoint>> OpenShards(
    const std::string& index_path, const OpenCheckpointOptions& options,
    absl::FunctionRef<absl::Status(const CheckpointIndex& index)> check) {
  const absl::StatusOr<CheckpointIndex> index =
      CheckpointIndex::Read(index_path);
  if (!index.ok()) return index.status();
  absl::Status status = check(*index);
  if (!status.ok()) return status;
  std::vector<std::string> paths;
  for (const std::string& shard : index->shards()) {
    paths.push_back(absl::StrCat(FolderOf(index_path), shard));
  }
  status = CheckShardsExist(index_path, *index, paths);
  if (!status.ok()) return status;
  const absl::StatusOr<const CheckpointFormat*> format =
      FormatOfShards(index_path, paths);
  if (!format.ok()) return format.status();
  absl::StatusOr<std::unique_ptr<Checkpoint>> checkpoint =
      (*format)->open(paths, options);
  if (!checkpoint.ok()) return checkpoint;
  status = CheckAgainstIndex(index_path, *index, **checkpoint);
  if (!status.ok()) return status;
  return std::make_unique<IndexedCheckpoint>(*std::move(checkpoint), *index);
}

}  // namespace checkpoint_internal
}  // namespace pretrained
