#include "modeling/head_pruning.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "ATen/core/grad_mode.h"
#include "ATen/ops/empty.h"
#include "ATen/ops/tensor.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "device_map/module_tree.h"
#include "modeling/attention_heads.h"
#include "modeling/catch_torch.h"
#include "modeling/layers.h"
#include "modeling/module.h"

namespace pretrained {
namespace {

using TensorsByName = absl::flat_hash_map<std::string, at::Tensor>;

// The dimension of a layer's weight that its outputs lie along.
int64_t DimOfOutputs(const Module& layer) {
  return dynamic_cast<const Conv1D*>(&layer) != nullptr ? 1 : 0;
}

// What `layer` becomes, by the names of its own tensors.
absl::StatusOr<TensorsByName> PrunedLayer(const Module& layer,
                                          const std::vector<int64_t>& index,
                                          int64_t dim) {
  if (dim != 0 && dim != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("dim is ", dim, ", but a matrix has 0 and 1"));
  }
  absl::StatusOr<at::Tensor> weight =
      CopyIndices(layer.parameter("weight"), dim, index);
  if (!weight.ok()) return weight.status();
  TensorsByName pruned = {{"weight", *std::move(weight)}};
  if (dim == DimOfOutputs(layer) && layer.has_parameter("bias")) {
    absl::StatusOr<at::Tensor> bias =
        CopyIndices(layer.parameter("bias"), 0, index);
    if (!bias.ok()) return bias.status();
    pruned["bias"] = *std::move(bias);
  }
  return pruned;
}

absl::Status PruneLayer(Module& layer, const std::vector<int64_t>& index,
                        int64_t dim) {
  absl::StatusOr<TensorsByName> pruned = PrunedLayer(layer, index, dim);
  if (!pruned.ok()) return pruned.status();
  return layer.ReplaceTensors(*pruned);
}

absl::flat_hash_map<std::string, Module*> ModulesByPath(Module& model) {
  absl::flat_hash_map<std::string, Module*> modules;
  model.ForEachModule([&](const std::string& path, Module& module) {
    modules.emplace(path, &module);
  });
  return modules;
}

int64_t DimOfHeads(const Module& layer, const HeadProjection& projection) {
  const int64_t outputs = DimOfOutputs(layer);
  return projection.side == HeadProjection::Side::kOutputs ? outputs
                                                           : 1 - outputs;
}

absl::Status CheckSize(const std::string& path, const Module& layer,
                       const HeadProjection& projection, int64_t heads) {
  const int64_t want =
      projection.parts * heads / projection.shared_by * projection.head_size;
  const at::Tensor& weight = layer.parameter("weight");
  const int64_t dim = DimOfHeads(layer, projection);
  if (weight.dim() == 2 && weight.size(dim) == want) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      path, ".weight has ", weight.dim() == 2 ? weight.size(dim) : 0,
      " numbers for its heads, but ", want, " are expected of ", heads,
      " heads; prune a model whose weights are as its config says"));
}

}  // namespace

absl::StatusOr<at::Tensor> CopyIndices(const at::Tensor& tensor, int64_t dim,
                                       const std::vector<int64_t>& index) {
  const int64_t size = tensor.size(dim);
  for (int64_t entry : index) {
    if (entry < 0 || entry >= size) {
      return absl::InvalidArgumentError(absl::StrCat(
          "index ", entry, " is not one of ", size, " along dimension ", dim));
    }
  }
  return CatchTorch("copying the entries that stay", [&] {
    at::NoGradGuard no_grad;
    std::vector<int64_t> shape = tensor.sizes().vec();
    shape[dim] = static_cast<int64_t>(index.size());
    const at::Tensor copy = at::empty(shape, tensor.options());
    for (size_t first = 0; first < index.size();) {
      size_t last = first + 1;
      while (last < index.size() && index[last] == index[last - 1] + 1) ++last;
      const auto length = static_cast<int64_t>(last - first);
      copy.narrow(dim, static_cast<int64_t>(first), length)
          .copy_(tensor.narrow(dim, index[first], length));
      first = last;
    }
    return absl::StatusOr<at::Tensor>(copy);
  });
}

absl::Status PruneLinearLayer(Linear& layer, const std::vector<int64_t>& index,
                              int64_t dim) {
  return PruneLayer(layer, index, dim);
}

absl::Status PruneConv1DLayer(Conv1D& layer, const std::vector<int64_t>& index,
                              int64_t dim) {
  return PruneLayer(layer, index, dim);
}

absl::StatusOr<TensorsByName> PrunedTensors(Module& model,
                                            const std::string& prefix,
                                            const AttentionHeads& heads,
                                            const PrunedHeads& going) {
  const auto modules = ModulesByPath(model);
  TensorsByName tensors;
  for (const auto& [layer, layer_heads] : going) {
    const int64_t left = NumHeadsLeft(heads.pruned, layer, heads.num_heads);
    for (const HeadProjection& projection : heads.projections(layer)) {
      const std::string path = JoinPath(prefix, projection.module);
      const Module& module = *modules.at(path);
      absl::Status status = CheckSize(path, module, projection, left);
      if (!status.ok()) return status;
      absl::StatusOr<TensorsByName> pruned = PrunedLayer(
          module, IndicesToKeep(heads, layer, layer_heads, projection),
          DimOfHeads(module, projection));
      if (!pruned.ok()) return pruned.status();
      for (auto& [name, tensor] : *pruned) {
        tensors[JoinPath(path, name)] = std::move(tensor);
      }
    }
  }
  return tensors;
}

at::Tensor OfHeadsLeft(const at::Tensor& tensor, const PrunedHeads& pruned,
                       int64_t layer, int64_t num_heads) {
  if (!tensor.defined() || !pruned.contains(layer) ||
      tensor.size(1) != num_heads) {
    return tensor;
  }
  const std::vector<int64_t> left = HeadsLeft(pruned, layer, num_heads);
  return tensor.index_select(
      1, at::tensor(left, at::dtype(at::kLong)).to(tensor.device()));
}

std::vector<at::Tensor> OfHeadsLeft(std::vector<at::Tensor> head_masks,
                                    const PrunedHeads& pruned,
                                    int64_t num_heads) {
  if (pruned.empty()) return head_masks;
  for (size_t i = 0; i < head_masks.size(); ++i) {
    head_masks[i] =
        OfHeadsLeft(head_masks[i], pruned, static_cast<int64_t>(i), num_heads);
  }
  return head_masks;
}

}  // namespace pretrained
