#ifndef PRETRAINED_CHECKPOINT_OPEN_CHECKPOINT_H_
#define PRETRAINED_CHECKPOINT_OPEN_CHECKPOINT_H_

#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/checkpoint_format.h"
#include "checkpoint/checkpoint_index.h"

namespace pretrained {

// Opens the checkpoint at `path`: a folder as save_pretrained() leaves it, the
// index of a sharded one, or a single file, whose format its name or its first
// bytes tell.
//
//   auto checkpoint = OpenCheckpoint("all-MiniLM-L6-v2");
//   auto half = OpenCheckpoint("all-MiniLM-L6-v2", {.variant = "fp16"});
//   auto sharded = OpenCheckpoint("gpt2/pytorch_model.bin.index.json");
//   auto file = OpenCheckpoint("adapter.safetensors");
//
// Which file of a folder it takes, weights_file.h says. Of a sharded checkpoint
// every shard that the index names must be there; files() has them sorted by
// name, and tensors() lists what they hold, whether or not the index knows it.
// What the index names and no shard holds is not listed (CheckpointIndex tells
// which that is).
//
//   kNotFound          no such path; a folder without weights (the message
//                      lists what was looked for, and what is there); or a
//                      shard is missing
//   kPermissionDenied  it may not be read
//   kInvalidArgument   not a file or folder, an unknown format, or a variant
//                      that is no part of a file name
//   kUnimplemented     weights in a format which this version does not read;
//                      the message says how to get one it does
//   kDataLoss          damaged, see SafetensorsReader::Open(); an index that
//                      cannot be trusted, see CheckpointIndex; an index and
//                      shards that contradict each other
// Matches: transformers 4.34 modeling_utils.py `from_pretrained`, in which
//     names of a local folder it takes, and in which order.
// Differs: safetensors needs no flag; there is no falling back to files without
//     the variant that was asked for; and a tensor in another shard than the
//     one that the index puts it in is an error.
absl::StatusOr<std::unique_ptr<Checkpoint>> OpenCheckpoint(
    const std::string& path, const OpenCheckpointOptions& options = {});

// What OpenShardedCheckpoint() asks before it opens any shard.
using IndexCheck = absl::FunctionRef<absl::Status(
    const std::string& index_path, const CheckpointIndex& index)>;

// Opens the sharded checkpoint in `folder` through its index: that of
// safetensors if there is one and `prefer_safe`, else of pickles if there is
// one.
//
//   auto checkpoint = OpenShardedCheckpoint(
//       "gpt2", /*prefer_safe=*/true,
//       [&](const std::string& path, const CheckpointIndex& index) {
//         return CheckNames(path, index.weight_map());
//       });
//
// An error of `check` is returned, and no shard is touched then. Index and
// shards are of one save: should the folder change in between, both are opened
// anew and `check` is asked again, so it is to forget what it saw before.
//
//   kNotFound         no such folder; no index in it, whatever else it has; or
//                     a shard is missing
//   kInvalidArgument  not a folder
//   and whatever `check` and OpenCheckpoint() return
// Matches: transformers 4.34 modeling_utils.py `load_sharded_checkpoint`, in
//     which index it takes.
// Differs: as OpenCheckpoint().
absl::StatusOr<std::unique_ptr<Checkpoint>> OpenShardedCheckpoint(
    const std::string& folder, bool prefer_safe, IndexCheck check);

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_OPEN_CHECKPOINT_H_
