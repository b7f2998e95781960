#ifndef PRETRAINED_MODELING_HEAD_PRUNING_H_
#define PRETRAINED_MODELING_HEAD_PRUNING_H_

#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "modeling/layers.h"
#include "nlohmann/json.hpp"

namespace pretrained {

// Which rows of a projection stay when heads go.
struct HeadsToPrune {
  std::vector<int64_t> heads;  // Those asked for that are still there; sorted.
  std::vector<int64_t> rows;   // Rows to keep, of those that are there now.
};

// `heads` are numbered as before any pruning; `pruned` went earlier, and naming
// one of them again has no effect. kInvalidArgument for a head that never was,
// or when none would be left.
//
//   num_heads  as before any pruning
// Matches: transformers 4.34 pytorch_utils.py
//     `find_pruneable_heads_and_indices`.
absl::StatusOr<HeadsToPrune> FindHeadsToPrune(const std::vector<int64_t>& heads,
                                              int64_t num_heads,
                                              int64_t head_size,
                                              const std::set<int64_t>& pruned);

// FindHeadsToPrune() for each layer of `heads`, of those that lose any.
// `pruned` has the heads that each layer lost earlier. kInvalidArgument for a
// layer that there is not; all is checked before anything changes.
absl::StatusOr<std::map<int64_t, HeadsToPrune>> PlanHeadPruning(
    const std::map<int64_t, std::vector<int64_t>>& heads, int64_t num_layers,
    int64_t num_heads, int64_t head_size,
    const std::map<int64_t, std::set<int64_t>>& pruned);

// The config's `pruned_heads`: {"0": [1, 3]}.
nlohmann::ordered_json PrunedHeadsJson(
    const std::map<int64_t, std::set<int64_t>>& pruned);

// Keeps the rows (dim 0; the bias's as well) or columns (dim 1) in `index` of a
// Linear's weight.
// Matches: transformers 4.34 pytorch_utils.py `prune_linear_layer`.
void PruneLinearInPlace(Linear& linear, const std::vector<int64_t>& index,
                        int64_t dim);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_HEAD_PRUNING_H_
