#ifndef PRETRAINED_CHECKPOINT_SHARD_PLAN_H_
#define PRETRAINED_CHECKPOINT_SHARD_PLAN_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint_index.h"
#include "checkpoint/tensor_to_write.h"
#include "dtypes/dtype.h"

namespace pretrained {

// A tensor to be put into a shard.
struct ShardedTensor {
  std::string name;
  Dtype dtype = Dtype::kFloat32;
  int64_t num_elements = 0;
  // Tensors of the same number share memory; -1: shares with none.
  int storage = -1;
};

// One file to write.
struct Shard {
  std::string file_name;     // "model-00001-of-00003.safetensors".
  std::vector<int> tensors;  // Into the list that was planned, in its order
                             // but for the sharing rule below.
};

// Which tensors go into which file.
struct ShardPlan {
  std::vector<Shard> shards;             // At least one.
  std::optional<CheckpointIndex> index;  // None for a single file.
};

// Spreads `tensors`, in the order of the state dict, over files of at most
// `max_shard_bytes` (ParseByteSize() reads "10GB").
//
//   auto plan = PlanShards(tensors, 5'000'000'000,
//                          AddVariant("model.safetensors", "fp16"));
//   plan->shards[0].file_name;  // "model.fp16-00001-of-00002.safetensors"
//   plan->index->Serialize();   // model.safetensors.index.fp16.json
//
// A tensor that does not fit into the current shard starts the next one; one
// larger than a shard has a file of its own, unless earlier ones share its
// memory. Tensors that share memory go where the first of them is, counted
// once; those without elements share, as they do in PyTorch (theirs is the null
// pointer), unless `storage` says otherwise. A bool counts an eighth of a byte
// (as 4.34 counts it, which also makes `total_size` a float).
// kInvalidArgument when no part of `weights_name` is ".bin" or ".safetensors"
// (the number goes before it), for names twice or not in UTF-8, and for sizes
// that are negative or of 2^60 bytes and more.
// Cost: linear.
// Threads: pure.
// Matches: transformers 4.34 modeling_utils.py `shard_checkpoint`.
// Differs: float8 tensors have a size; there they are a ValueError.
absl::StatusOr<ShardPlan> PlanShards(absl::Span<const ShardedTensor> tensors,
                                     int64_t max_shard_bytes,
                                     absl::string_view weights_name);

// The same for tensors to be written, of which those with `alias_of` share.
absl::StatusOr<ShardPlan> PlanShards(absl::Span<const TensorToWrite> tensors,
                                     int64_t max_shard_bytes,
                                     absl::string_view weights_name);

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_SHARD_PLAN_H_
