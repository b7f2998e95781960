#include "checkpoint/safetensors_format.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/checkpoint_format.h"
#include "checkpoint/safetensors_checkpoint.h"

namespace pretrained {
namespace {

// A length of at most 100 MB leaves the upper four of its eight bytes zero,
// and what follows them is an object.
bool Recognizes(absl::string_view file_name, absl::string_view head) {
  constexpr absl::string_view kZeros("\0\0\0\0", 4);
  return absl::EndsWith(file_name, ".safetensors") ||
         (head.size() > 8 && head.substr(4, 4) == kZeros && head[8] == '{');
}

absl::StatusOr<std::unique_ptr<Checkpoint>> Open(
    const std::vector<std::string>& paths,
    const OpenCheckpointOptions& options) {
  SafetensorsCheckpointOptions driver_options;
  driver_options.use_mmap = options.use_mmap;
  return SafetensorsCheckpoint::Open(paths, driver_options);
}

}  // namespace

const CheckpointFormat kSafetensorsFormat = {
    .name = "safetensors",
    .weights_name = "model.safetensors",
    .index_name = "model.safetensors.index.json",
    .recognizes = &Recognizes,
    .open = &Open,
};

}  // namespace pretrained
