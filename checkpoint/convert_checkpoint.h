#ifndef PRETRAINED_CHECKPOINT_CONVERT_CHECKPOINT_H_
#define PRETRAINED_CHECKPOINT_CONVERT_CHECKPOINT_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/save/save_checkpoint.h"
#include "dtypes/dtype.h"

namespace pretrained {

struct ConvertCheckpointOptions {
  std::string format = "safetensors";  // "torch", "torch_legacy".
  std::optional<Dtype> dtype = {};     // Of floating tensors; else as stored.
  int64_t max_shard_bytes = kDefaultMaxShardBytes;  // Of a folder.
  std::string variant = {};                         // Of a folder.

  // Regular expressions over names, a class's `_tied_weights_keys`. Of tensors
  // that are one and the same, those that match are left out of safetensors
  // files, as long as one is left; without a match the first one stays.
  std::vector<std::string> tied_weights_keys = {};

  // Files to put beside the weights in a folder: name and content.
  std::vector<std::pair<std::string, std::string>> other_files = {};

  std::function<void(int64_t done_bytes, int64_t total_bytes)> progress = {};
};

// Writes the tensors of `source` as another checkpoint: into the folder
// `destination`, under the names that save_pretrained() gives, or into that
// file where it ends as weights files do (.safetensors, .bin, .pt, ..).
//
//   auto saved = ConvertCheckpoint(**OpenCheckpoint("bert-base"), "half",
//                                  {.dtype = Dtype::kFloat16});
//
// Streams: at most some MiB of private memory, and one tensor where the source
// is not stored in place. All appears at once or not at all, and `destination`
// may be where `source` is, see SaveCheckpoint().
// Of tensors that are the same view of one storage, safetensors files hold one;
// torch files keep every name, and the bytes once. Views of one storage that
// differ are stored each whole.
//   kInvalidArgument  a format, dtype, name or pattern that cannot be
//   kUnimplemented    safetensors that TensorFlow or Flax saved: their names
//                     and layouts are others
// Matches: transformers 4.34 modeling_utils.py `save_pretrained`.
// Differs: there, of overlapping views all but one are dropped, with their
// data.
absl::StatusOr<SavedCheckpoint> ConvertCheckpoint(
    const Checkpoint& source, const std::string& destination,
    const ConvertCheckpointOptions& options = {});

// Whether `path` is named as a weights file is.
bool IsWeightsFileName(const std::string& path);

// Whether ConvertCheckpoint() writes `destination` as a file: it is named so,
// and no folder stands there.
bool IsFileDestination(const std::string& destination);

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_CONVERT_CHECKPOINT_H_
