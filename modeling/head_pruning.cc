#include "modeling/head_pruning.h"

#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "ATen/core/grad_mode.h"
#include "ATen/ops/tensor.h"
#include "absl/log/absl_check.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "modeling/layers.h"
#include "nlohmann/json.hpp"

namespace pretrained {

absl::StatusOr<HeadsToPrune> FindHeadsToPrune(const std::vector<int64_t>& heads,
                                              int64_t num_heads,
                                              int64_t head_size,
                                              const std::set<int64_t>& pruned) {
  std::set<int64_t> going;
  for (int64_t head : heads) {
    if (head < 0 || head >= num_heads) {
      return absl::InvalidArgumentError(absl::StrCat(
          "head ", head, " cannot be pruned: there are heads 0 to ",
          num_heads - 1));
    }
    if (!pruned.contains(head)) going.insert(head);
  }
  HeadsToPrune result{.heads = {going.begin(), going.end()}};
  int64_t position = 0;  // Among the heads that are still there.
  for (int64_t head = 0; head < num_heads; ++head) {
    if (pruned.contains(head)) continue;
    if (!going.contains(head)) {
      for (int64_t i = 0; i < head_size; ++i) {
        result.rows.push_back(position * head_size + i);
      }
    }
    ++position;
  }
  if (result.rows.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("pruning ", going.size(), " heads would leave none of ",
                     num_heads, "; keep one at least"));
  }
  return result;
}

absl::StatusOr<std::map<int64_t, HeadsToPrune>> PlanHeadPruning(
    const std::map<int64_t, std::vector<int64_t>>& heads, int64_t num_layers,
    int64_t num_heads, int64_t head_size,
    const std::map<int64_t, std::set<int64_t>>& pruned) {
  std::map<int64_t, HeadsToPrune> plan;
  for (const auto& [layer, layer_heads] : heads) {
    if (layer < 0 || layer >= num_layers) {
      return absl::InvalidArgumentError(
          absl::StrCat("layer ", layer, " has no heads to prune: there are ",
                       num_layers, " layers, from 0"));
    }
    auto lost = pruned.find(layer);
    absl::StatusOr<HeadsToPrune> found = FindHeadsToPrune(
        layer_heads, num_heads, head_size,
        lost == pruned.end() ? std::set<int64_t>() : lost->second);
    if (!found.ok()) return found.status();
    if (!found->heads.empty()) plan[layer] = *std::move(found);
  }
  return plan;
}

nlohmann::ordered_json PrunedHeadsJson(
    const std::map<int64_t, std::set<int64_t>>& pruned) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (const auto& [layer, heads] : pruned) {
    if (!heads.empty()) json[absl::StrCat(layer)] = heads;
  }
  return json;
}

void PruneLinearInPlace(Linear& linear, const std::vector<int64_t>& index,
                        int64_t dim) {
  at::NoGradGuard no_grad;
  const at::Tensor& weight = linear.parameter("weight");
  const at::Tensor keep =
      at::tensor(index, at::dtype(at::kLong)).to(weight.device());
  ABSL_CHECK_OK(linear.ReplaceTensor("weight", weight.index_select(dim, keep)));
  if (dim == 0 && linear.has_parameter("bias")) {
    ABSL_CHECK_OK(linear.ReplaceTensor(
        "bias", linear.parameter("bias").index_select(0, keep)));
  }
}

}  // namespace pretrained
