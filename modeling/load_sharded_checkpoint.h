#ifndef PRETRAINED_MODELING_LOAD_SHARDED_CHECKPOINT_H_
#define PRETRAINED_MODELING_LOAD_SHARDED_CHECKPOINT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace torch {
namespace nn {
class Module;
}  // namespace nn
}  // namespace torch

namespace pretrained {

struct LoadShardedCheckpointOptions {
  // Whether the names that the index lists must be those of the module's state
  // dict. Without, what both have is loaded, and the rest is returned.
  bool strict = true;

  // Of a folder with both indexes: takes that of the safetensors, else that of
  // the pickles. No pickle is run, whichever it is.
  bool prefer_safe = true;
};

// Names that only one of the two has.
struct IncompatibleKeys {
  std::vector<std::string> missing_keys;     // The module, in its order.
  std::vector<std::string> unexpected_keys;  // The index, in its order.
};

// Copies the sharded checkpoint in `folder` into the tensors of `module`, any
// LibTorch module: one of torch::nn, one of your own, one of this library.
//
//   torch::nn::Sequential net(torch::nn::Linear(784, 128), torch::nn::ReLU(),
//                             torch::nn::Linear(128, 10));
//   auto keys = LoadShardedCheckpoint(*net, "digits");
//   if (!keys.ok()) return keys.status();
//
// The state dict of a module has, as in Python, its parameters and buffers, its
// children's below the child's name, and a tensor under each of its names. A
// Module of this library leaves out the buffers that are not persistent; of
// other modules all are in it, since LibTorch knows no such difference.
//
// Values go into the memory that the module has: its tensors keep identity,
// dtype, device, strides, requires_grad and ties, so optimizers and views go on
// with them. Other dtypes are converted as LibTorch's copy_() does. As in
// torch, the first of a list of numbers goes into a parameter that is one
// number.
//
// Missing and unexpected keys go by the index alone. What a shard holds and the
// index does not list is loaded if the module has it. Names that are one tensor
// of the module (tied weights) get the value of the last: of the last shard by
// name, and there of the last in the state dict.
//
//   kNotFound            no such folder, no index in it, or a shard is missing
//   kInvalidArgument     with `strict`, names differ; tensors that have another
//                        shape than the module's. Each is listed
//   kFailedPrecondition  a tensor of the module is on the meta device
//   kDataLoss            a file is damaged, or they contradict each other; with
//                        `strict` also, when no shard holds what the index
//                        lists
//   and whatever OpenShardedCheckpoint() returns
// Names are compared before any shard is opened, and shapes before the module
// is written to: all of these leave it as it was. Only an error of reading, a
// file that is cut short meanwhile, or a copy that LibTorch refuses, leaves in
// place what has been copied until then.
//
// Cost: one pass over each shard. A tensor of the same dtype, contiguous and on
//     the CPU, is read where it belongs; others take memory for the stored one,
//     one at a time.
// Threads: any number, of different modules; nothing else may use the module
//     meanwhile. Grad and inference mode of the caller do not matter.
// Matches: transformers 4.34 modeling_utils.py `load_sharded_checkpoint`.
// Differs: the message calls unexpected keys so; there they are missing, too.
//     Other shapes, and with `strict` tensors that are in no shard, are found
//     before a value is copied; there, shards before are loaded, or nothing is
//     said. A module on the meta device stays empty there, with warnings. Ties
//     across shards depend there on an order that differs from run to run, and
//     so does whether a shard without it resets a BatchNorm's
//     num_batches_tracked.
absl::StatusOr<IncompatibleKeys> LoadShardedCheckpoint(
    torch::nn::Module& module, const std::string& folder,
    const LoadShardedCheckpointOptions& options = {});

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_LOAD_SHARDED_CHECKPOINT_H_
