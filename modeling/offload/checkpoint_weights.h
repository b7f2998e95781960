#ifndef PRETRAINED_MODELING_OFFLOAD_CHECKPOINT_WEIGHTS_H_
#define PRETRAINED_MODELING_OFFLOAD_CHECKPOINT_WEIGHTS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "checkpoint/checkpoint.h"
#include "modeling/offload/offloaded_weights.h"

namespace pretrained {

// A weight by its name in the model, and the stored tensor that it is. The
// tensor is one of `checkpoint`, in the dtype that the model has.
struct CheckpointWeight {
  std::string name;
  std::shared_ptr<const Checkpoint> checkpoint;
  const TensorInfo* tensor = nullptr;
};

// Offloaded weights that lie in checkpoints: the one that the model is loaded
// from, an OffloadFolder. Those in place are mapped with it: Prefetch() has the
// system read and map their pages, and may take as long as a read does;
// Release() says that they are the first that memory may be taken from. Others
// are read at each Get().
// kInvalidArgument for a name that occurs twice.
absl::StatusOr<std::shared_ptr<const OffloadedWeights>> MakeCheckpointWeights(
    std::vector<CheckpointWeight> weights);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_OFFLOAD_CHECKPOINT_WEIGHTS_H_
