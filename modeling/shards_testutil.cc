#include "modeling/shards_testutil.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "absl/log/absl_check.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "checkpoint/checkpoint_index.h"
#include "checkpoint/safetensors_testutil.h"
#include "checkpoint/save/save_checkpoint.h"
#include "checkpoint/tensor_to_write.h"
#include "modeling/tensor_bridge.h"

namespace pretrained {
namespace {

using checkpoint_testing::MakeTestFolder;
using checkpoint_testing::WriteTestFile;

}  // namespace

TensorToWrite ToWrite(const NamedTensor& named) {
  const at::Tensor& tensor = named.second;
  return {.name = named.first,
          .dtype = *ToDtype(tensor.scalar_type()),
          .shape = tensor.sizes().vec(),
          .data = tensor.const_data_ptr()};
}

std::string MakeShardFolder(const std::string& name,
                            const std::vector<Shard>& shards,
                            const std::string& not_listed,
                            const WeightMap& more,
                            const std::string& index_name) {
  const std::string folder = MakeTestFolder(name);
  WeightMap weight_map = more;
  for (const Shard& shard : shards) {
    const bool safe = absl::EndsWith(shard.name, ".safetensors");
    std::vector<TensorToWrite> tensors;
    for (const NamedTensor& tensor : shard.tensors) {
      tensors.push_back(ToWrite(tensor));
      if (tensor.first != not_listed) {
        weight_map.emplace_back(tensor.first, shard.name);
      }
    }
    ABSL_CHECK_OK(SaveCheckpointFile(absl::StrCat(folder, "/", shard.name),
                                     tensors,
                                     {.format = safe ? "safetensors" : "torch"})
                      .status());
  }
  const auto index = CheckpointIndex::Create(weight_map, "");
  ABSL_CHECK_OK(index.status());
  WriteTestFile(absl::StrCat(name, "/", index_name), index->Serialize());
  return folder;
}

Shard WeightShard() {
  return {"s-1.safetensors", {{"weight", at::full({3, 2}, 7.0)}}};
}

Shard BiasShard() {
  return {"s-2.safetensors", {{"bias", at::full({3}, 8.0)}}};
}

std::string MakeLinearFolder(const std::string& name) {
  return MakeShardFolder(name, {WeightShard(), BiasShard()});
}

void Tree::Add(absl::string_view name, at::Tensor tensor, bool is_buffer) {
  const std::vector<std::string> parts =
      absl::StrSplit(name, absl::MaxSplits('.', 1));
  if (parts.size() == 1) {
    if (is_buffer) {
      register_buffer(parts[0], std::move(tensor));
    } else {
      register_parameter(parts[0], std::move(tensor));
    }
    return;
  }
  const auto children = named_children();
  const auto* found = children.find(parts[0]);
  auto child = found != nullptr
                   ? std::static_pointer_cast<Tree>(*found)
                   : register_module(parts[0], std::make_shared<Tree>());
  child->Add(parts[1], std::move(tensor), is_buffer);
}

}  // namespace pretrained
