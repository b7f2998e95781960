#include "modeling/attention_heads.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

const std::set<int64_t>& LostBy(const PrunedHeads& pruned, int64_t layer) {
  static const auto* const none = new std::set<int64_t>();
  auto lost = pruned.find(layer);
  return lost == pruned.end() ? *none : lost->second;
}

// `heads` of `total`, numbered as before any went, without those of `gone`.
absl::StatusOr<std::set<int64_t>> HeadsToGo(const std::vector<int64_t>& heads,
                                            int64_t total,
                                            const std::set<int64_t>& gone) {
  std::set<int64_t> going;
  for (int64_t head : heads) {
    if (head < 0 || head >= total) {
      return absl::InvalidArgumentError(
          absl::StrCat("head ", head,
                       " cannot be pruned: there are heads 0 to ", total - 1));
    }
    if (!gone.contains(head)) going.insert(head);
  }
  if (static_cast<int64_t>(gone.size() + going.size()) >= total) {
    return absl::InvalidArgumentError(
        absl::StrCat("pruning ", going.size(), " heads would leave none of ",
                     total, "; keep one at least"));
  }
  return going;
}

// Of the heads that share a key, all must go or none.
absl::Status CheckGroups(const std::set<int64_t>& going, int64_t group_size) {
  for (int64_t head : going) {
    const int64_t first = head / group_size * group_size;
    for (int64_t other = first; other < first + group_size; ++other) {
      if (going.contains(other)) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("head ", head, " cannot be pruned without head ", other,
                       ": heads ", first, " to ", first + group_size - 1,
                       " share one key and value; prune all of them"));
    }
  }
  return absl::OkStatus();
}

// The places where blocks of `size`, one for each entry of `keeps`, stay.
void AppendBlocks(const std::vector<bool>& keeps, int64_t size, int64_t offset,
                  std::vector<int64_t>& index) {
  for (size_t block = 0; block < keeps.size(); ++block) {
    if (!keeps[block]) continue;
    const int64_t first = offset + static_cast<int64_t>(block) * size;
    for (int64_t i = 0; i < size; ++i) index.push_back(first + i);
  }
}

}  // namespace

int64_t NumHeadsLeft(const PrunedHeads& pruned, int64_t layer,
                     int64_t num_heads) {
  return num_heads - static_cast<int64_t>(LostBy(pruned, layer).size());
}

std::vector<int64_t> HeadsLeft(const PrunedHeads& pruned, int64_t layer,
                               int64_t num_heads) {
  const std::set<int64_t>& lost = LostBy(pruned, layer);
  std::vector<int64_t> left;
  for (int64_t head = 0; head < num_heads; ++head) {
    if (!lost.contains(head)) left.push_back(head);
  }
  return left;
}

nlohmann::ordered_json PrunedHeadsJson(const PrunedHeads& pruned) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (const auto& [layer, heads] : pruned) {
    if (!heads.empty()) json[absl::StrCat(layer)] = heads;
  }
  return json;
}

absl::StatusOr<PruneableHeads> FindPruneableHeadsAndIndices(
    const std::vector<int64_t>& heads, int64_t n_heads, int64_t head_size,
    const std::set<int64_t>& already_pruned_heads) {
  if (n_heads < 1 || head_size < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(n_heads, " heads of size ", head_size,
                     ": one head at least, of one number at least, is "
                     "expected"));
  }
  const int64_t total =
      n_heads + static_cast<int64_t>(already_pruned_heads.size());
  absl::StatusOr<std::set<int64_t>> going =
      HeadsToGo(heads, total, already_pruned_heads);
  if (!going.ok()) return going.status();
  PruneableHeads result;
  std::vector<bool> keeps;
  for (int64_t head = 0; head < total; ++head) {
    if (already_pruned_heads.contains(head)) continue;
    keeps.push_back(!going->contains(head));
  }
  AppendBlocks(keeps, head_size, 0, result.index);
  result.heads = *std::move(going);
  return result;
}

absl::StatusOr<PrunedHeads> PlanHeadPruning(
    const AttentionHeads& model,
    const std::map<int64_t, std::vector<int64_t>>& heads) {
  PrunedHeads plan;
  for (const auto& [layer, layer_heads] : heads) {
    if (layer < 0 || layer >= model.num_layers) {
      return absl::InvalidArgumentError(
          absl::StrCat("layer ", layer, " has no heads to prune: there are ",
                       model.num_layers, " layers, from 0"));
    }
    absl::StatusOr<std::set<int64_t>> going =
        HeadsToGo(layer_heads, model.num_heads, LostBy(model.pruned, layer));
    absl::Status status = going.status();
    if (status.ok()) status = CheckGroups(*going, model.group_size);
    if (!status.ok()) {
      return absl::Status(
          status.code(), absl::StrCat("layer ", layer, ": ", status.message()));
    }
    if (!going->empty()) plan[layer] = *std::move(going);
  }
  return plan;
}

std::vector<int64_t> IndicesToKeep(const AttentionHeads& model, int64_t layer,
                                   const std::set<int64_t>& going,
                                   const HeadProjection& projection) {
  const std::vector<int64_t> heads =
      HeadsLeft(model.pruned, layer, model.num_heads);
  // Groups go as a whole, so that the first of each speaks for it.
  std::vector<bool> keeps;
  for (size_t i = 0; i < heads.size(); i += projection.shared_by) {
    keeps.push_back(!going.contains(heads[i]));
  }
  const int64_t part_size =
      static_cast<int64_t>(keeps.size()) * projection.head_size;
  std::vector<int64_t> index;
  for (int64_t part = 0; part < projection.parts; ++part) {
    AppendBlocks(keeps, projection.head_size, part * part_size, index);
  }
  return index;
}

}  // namespace pretrained
