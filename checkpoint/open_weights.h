#ifndef PRETRAINED_CHECKPOINT_OPEN_WEIGHTS_H_
#define PRETRAINED_CHECKPOINT_OPEN_WEIGHTS_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/checkpoint_format.h"

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

// Opens the shards that the index at `index_path` names, which lie beside it.
absl::StatusOr<std::unique_ptr<Checkpoint>> OpenShards(
    const std::string& index_path, const OpenCheckpointOptions& options);

}  // namespace checkpoint_internal
}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_OPEN_WEIGHTS_H_
