#ifndef PRETRAINED_MODELING_ATTENTION_HEADS_H_
#define PRETRAINED_MODELING_ATTENTION_HEADS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"

namespace pretrained {

// Which attention heads a model has, and which it lost: numbers alone, no
// tensors (head_pruning.h has those). Heads keep the numbers that they had
// before any was pruned.

// Layer to the heads it lost.
using PrunedHeads = std::map<int64_t, std::set<int64_t>>;

// How many of `num_heads` layer `layer` has left.
int64_t NumHeadsLeft(const PrunedHeads& pruned, int64_t layer,
                     int64_t num_heads);

// Which those are, ascending.
std::vector<int64_t> HeadsLeft(const PrunedHeads& pruned, int64_t layer,
                               int64_t num_heads);

// The config's `pruned_heads`: {"0": [1, 3]}.
nlohmann::ordered_json PrunedHeadsJson(const PrunedHeads& pruned);

struct PruneableHeads {
  std::set<int64_t> heads;     // Those asked for that are still there.
  std::vector<int64_t> index;  // Rows to keep, of those that are there now.
};

// What pruning `heads` of one layer comes to.
//
//   n_heads               heads that are there now
//   head_size             rows of each
//   already_pruned_heads  went earlier; naming one again has no effect
//
// kInvalidArgument for a head that never was, or when none would be left.
// Matches: transformers 4.34 pytorch_utils.py
//     `find_pruneable_heads_and_indices`.
// Differs: there a head below 0 counts from the end, and all may go.
absl::StatusOr<PruneableHeads> FindPruneableHeadsAndIndices(
    const std::vector<int64_t>& heads, int64_t n_heads, int64_t head_size,
    const std::set<int64_t>& already_pruned_heads);

// A Linear or Conv1D some of whose rows, or columns, belong to heads.
struct HeadProjection {
  enum class Side {
    kOutputs,  // What it makes are heads: query, key, value. Its bias as well.
    kInputs,   // What it reads: the projection after attention.
  };

  std::string module;  // Path: "encoder.layer.0.attention.self.query".
  int64_t head_size;   // Numbers of each head.
  Side side = Side::kOutputs;
  // Runs of all heads that lie one after the other: 3 where one matrix makes
  // all queries, then all keys, then all values.
  int64_t parts = 1;
  // Heads in a row that share one here: those of a group, where keys and values
  // have fewer heads than queries.
  int64_t shared_by = 1;
};

// The heads of a model, as PretrainedModel::PruneHeads() needs to know them.
struct AttentionHeads {
  int64_t num_layers = 0;
  int64_t num_heads = 0;   // In each layer, before any was pruned.
  int64_t group_size = 1;  // Heads that share a key and go together.
  PrunedHeads pruned;
  // The projections of layer `layer`; paths are below the model.
  std::function<std::vector<HeadProjection>(int64_t layer)> projections;
};

// What pruning `heads` takes from each layer, of those that lose any.
// kInvalidArgument for a layer or a head that there is not, for all heads of a
// layer, and for a part of a group.
absl::StatusOr<PrunedHeads> PlanHeadPruning(
    const AttentionHeads& model,
    const std::map<int64_t, std::vector<int64_t>>& heads);

// The outputs, or inputs, of `projection` that stay when layer `layer` of
// `model` loses the heads in `going`.
std::vector<int64_t> IndicesToKeep(const AttentionHeads& model, int64_t layer,
                                   const std::set<int64_t>& going,
                                   const HeadProjection& projection);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_ATTENTION_HEADS_H_
