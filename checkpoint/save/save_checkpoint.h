#ifndef PRETRAINED_CHECKPOINT_SAVE_SAVE_CHECKPOINT_H_
#define PRETRAINED_CHECKPOINT_SAVE_SAVE_CHECKPOINT_H_

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "checkpoint/tensor_to_write.h"

namespace pretrained {

// As transformers 4.34: "10GB".
inline constexpr int64_t kDefaultMaxShardBytes = 10'000'000'000;

struct SaveCheckpointOptions {
  // "safetensors", "torch" (a zip, as since PyTorch 1.6) or "torch_legacy".
  std::string format = "safetensors";

  // Of one file; a tensor that is larger has its own. ParseByteSize() reads
  // "10GB".
  int64_t max_shard_bytes = kDefaultMaxShardBytes;

  // Part of the weights' names, "fp16" for model.fp16.safetensors.
  std::string variant = {};

  // Beside the tensors, in safetensors files only; {"format", "pt"} is there
  // anyway.
  std::vector<std::pair<std::string, std::string>> metadata = {};

  // Files that change together with the weights: name and content.
  std::vector<std::pair<std::string, std::string>> other_files = {};

  // Whether an earlier save's own weights go that this one does not write.
  bool remove_stale = true;

  // Writes a file of weights instead of the format's own writer: `tensors`, of
  // which those with `alias_of` share bytes, into a new file at `path`, which
  // is synced and renamed afterwards.
  std::function<absl::Status(const std::string& path,
                             absl::Span<const TensorToWrite> tensors)>
      write_file = {};

  // Shards that are written at a time, by as many threads; then several ask
  // TensorToWrite::produce at a time. 0: as many as suit where all bytes lie in
  // memory, and one where any are produced.
  int num_writers = 0;

  // Told now and then how many bytes of tensors have been written, by one
  // thread at a time.
  std::function<void(int64_t done_bytes, int64_t total_bytes)> progress = {};
};

// What was written.
struct SavedCheckpoint {
  // Names in the folder: the weights, shard after shard, then their index, then
  // the other files.
  std::vector<std::string> files;
  int64_t tensors = 0;  // Names that can be read back.
  int64_t bytes = 0;    // Of tensors; what names share counts once.

  // Names that the format cannot give to the bytes of another, which are
  // therefore not stored: load the other one's and tie them.
  std::vector<std::string> dropped_aliases;
};

// Saves `tensors` as a checkpoint that from_pretrained() and OpenCheckpoint()
// find in `folder`: one file, or shards with an index.
//
//   auto saved = SaveCheckpoint("my-model", tensors,
//                               {.max_shard_bytes = 5'000'000'000,
//                                .other_files = {{"config.json", config}}});
//
// All of it appears at once, or nothing changes: not even a kill or a crash of
// the machine leaves a mixture (FolderUpdate). A save that is killed leaves a
// staging folder, which the next save removes; no signal handler is installed.
// `folder` may be the one that the tensors are read or mapped from.
// Of what the folder held, an earlier save's own weights of the same format's
// name and variant go: the file, or the index and the shards that it lists.
// Everything else stays, weights of other formats and variants too.
//
// Aliases (TensorToWrite::alias_of) are stored once. Torch files keep their
// names, in the same shard; safetensors files only the first.
//   kInvalidArgument  an unknown format, a name or variant that cannot be part
//                     of a file name, or that two files would have; tensors as
//                     PlanShards() and the format's writer refuse them
//   kUnavailable      another save into the folder is running
//   kResourceExhausted  the disk is full; nothing has changed
//   as FolderUpdate, and whatever TensorToWrite::produce returned
// Cost: as much of the disk as the new files, beside the old ones. What is
//     written does not depend on the number of writers.
// Threads: any number, of different folders.
// Matches: transformers 4.34 modeling_utils.py `save_pretrained` in names,
//     shards and index.
// Differs: stale shards go only where the old index lists them, and a stale
//     index or single file goes, too; there, leftovers of either kind can come
//     before the new weights when the folder is next opened.
absl::StatusOr<SavedCheckpoint> SaveCheckpoint(
    const std::string& folder, std::vector<TensorToWrite> tensors,
    const SaveCheckpointOptions& options = {});

// The same into the single file at `path`, whose folder must exist. Nothing
// else changes; `max_shard_bytes`, `variant` and `other_files` have no effect.
// A save that is killed leaves the new file beside, as `path` and a random
// number.
absl::StatusOr<SavedCheckpoint> SaveCheckpointFile(
    const std::string& path, std::vector<TensorToWrite> tensors,
    const SaveCheckpointOptions& options = {});

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_SAVE_SAVE_CHECKPOINT_H_
