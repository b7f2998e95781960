#ifndef PRETRAINED_CHECKPOINT_OPEN_WEIGHTS_H_
#define PRETRAINED_CHECKPOINT_OPEN_WEIGHTS_H_

#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/checkpoint_format.h"
#include "checkpoint/checkpoint_index.h"

namespace pretrained {
namespace checkpoint_internal {

// What OpenCheckpoint() does once it knows which file to open.

// Whether a file of this name is an index of shards:
// "model.safetensors.index.json", "pytorch_model.bin.index.fp16.json".
bool IsIndexName(absl::string_view file_name);

// Opens the single file at `path`, in the format that its name or its first
// bytes tell.
absl::StatusOr<std::unique_ptr<Checkpoint>> OpenWeights(
    const std::string& path, const OpenCheckpointOptions& options);

// Opens the shards that the index at `index_path` names, which lie beside it,
// unless `check` returns an error for that index.
absl::StatusOr<std::unique_ptr<Checkpoint>> OpenShards(
    const std::string& index_path, const OpenCheckpointOptions& options,
    absl::FunctionRef<absl::Status(const CheckpointIndex& index)> check);

}  // namespace checkpoint_internal
}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_OPEN_WEIGHTS_H_
