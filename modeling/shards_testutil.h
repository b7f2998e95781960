#ifndef PRETRAINED_MODELING_SHARDS_TESTUTIL_H_
#define PRETRAINED_MODELING_SHARDS_TESTUTIL_H_

#include <string>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/strings/string_view.h"
#include "checkpoint/tensor_to_write.h"
#include "torch/nn/module.h"

namespace pretrained {

// Sharded checkpoints of a few tensors, and modules for them.

using NamedTensor = std::pair<std::string, at::Tensor>;
using WeightMap = std::vector<std::pair<std::string, std::string>>;

constexpr char kSafeIndex[] = "model.safetensors.index.json";
constexpr char kTorchIndex[] = "pytorch_model.bin.index.json";

// Its bytes are those of the tensor, which must be contiguous and live on.
TensorToWrite ToWrite(const NamedTensor& named);

struct Shard {
  std::string name;  // safetensors if it ends so, else a torch archive.
  std::vector<NamedTensor> tensors;
};

// A folder of shards, below the test's temporary one, with an index of all that
// they hold but for `not_listed`, and of `more`.
std::string MakeShardFolder(const std::string& name,
                            const std::vector<Shard>& shards,
                            const std::string& not_listed = "",
                            const WeightMap& more = {},
                            const std::string& index_name = kSafeIndex);

// [3, 2] of sevens, and [3] of eights: together what fits a Linear(2, 3).
Shard WeightShard();  // "s-1.safetensors"
Shard BiasShard();    // "s-2.safetensors"
std::string MakeLinearFolder(const std::string& name);

// A module that owns tensors by any names: dots make children.
class Tree : public torch::nn::Module {
 public:
  void Add(absl::string_view name, at::Tensor tensor, bool is_buffer = false);
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_SHARDS_TESTUTIL_H_
