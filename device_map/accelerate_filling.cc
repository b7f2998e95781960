#include "device_map/accelerate_filling.h"

#include <algorithm>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "device_map/device.h"
#include "device_map/largest_layer.h"
#include "device_map/max_memory.h"
#include "device_map/plan.h"
#include "device_map/sized_tree.h"

namespace pretrained {
namespace {

using Kind = TreeItem::Kind;

class AccelerateFiller {
 public:
  AccelerateFiller(const SizedTree& tree, const MaxMemory& max_memory)
      : tree_(tree),
        shelves_(ShelvesOf(max_memory)),
        ties_(TiesThatAccelerateFinds(tree)),
        largest_(tree, Parts(0, /*with_buffers=*/true)) {
    const std::vector<int> parts = Parts(0, /*with_buffers=*/true);
    pending_.assign(parts.begin(), parts.end());
    filling_.devices.resize(tree.items().size());
  }

  absl::StatusOr<Filling> Fill() {
    while (!pending_.empty()) {
      const int item = pending_.front();
      pending_.pop_front();
      largest_.Remove(item, [&] { return PendingModules(); });
      absl::Status status = Place(item);
      if (!status.ok()) return status;
    }
    return std::move(filling_);
  }

 private:
  // What is directly within a module, in the order in which it is treated; of
  // the names of one tensor in it the first.
  std::vector<int> Parts(int index, bool with_buffers) const {
    std::vector<int> parameters;
    std::vector<int> modules;
    std::vector<int> buffers;
    absl::flat_hash_set<int> seen_ties;
    for (const int child : tree_.Children(index)) {
      const TreeItem& item = tree_.item(child);
      if (item.is_module()) modules.push_back(child);
      if (item.kind == Kind::kBuffer) buffers.push_back(child);
      if (item.kind == Kind::kParameter &&
          (item.tie == -1 || seen_ties.insert(item.tie).second)) {
        parameters.push_back(child);
      }
    }
    std::vector<int> parts = std::move(parameters);
    parts.insert(parts.end(), modules.begin(), modules.end());
    if (with_buffers) parts.insert(parts.end(), buffers.begin(), buffers.end());
    return parts;
  }

  std::vector<int> PendingModules() const {
    std::vector<int> modules;
    for (const int item : pending_) {
      if (tree_.item(item).is_module()) modules.push_back(item);
    }
    return modules;
  }

  const Shelf& shelf() const { return shelves_[current_]; }

  // Tied parameters that go along with an item, by accelerate's lights.
  std::vector<int> TiedWith(const std::string& name) const {
    std::vector<int> tied;
    for (const std::vector<int>& group : ties_) {
      std::vector<int> outside;
      for (const int index : group) {
        if (!absl::StrContains(tree_.item(index).name, name)) {
          outside.push_back(index);
        }
      }
      if (outside.size() < group.size()) {
        tied.insert(tied.end(), outside.begin(), outside.end());
      }
    }
    return tied;
  }

  absl::Status Place(int item) {
    const double kept_free = shelf().keeps_room ? largest_.bytes() : 0;
    const double limit = shelf().limit - kept_free;
    const double bytes = tree_.item(item).bytes;
    PlanStep step{.item = item,
                  .device = shelf().device,
                  .bytes = bytes,
                  .used_before = used_,
                  .kept_free = kept_free};
    if (used_ + bytes > limit) return TooLarge(std::move(step));
    const std::vector<int> tied = TiedWith(tree_.item(item).name);
    if (!tied.empty()) return PlaceTied(std::move(step), tied, limit);
    used_ += bytes;
    filling_.devices[item] = shelf().device;
    filling_.steps.push_back(std::move(step));
    return absl::OkStatus();
  }

  absl::Status TooLarge(PlanStep step) {
    const TreeItem& item = tree_.item(step.item);
    if (item.kind == Kind::kBuffer) {
      return absl::FailedPreconditionError(
          absl::StrCat("AttributeError: buffer '", item.name,
                       "' of the model does not fit"));
    }
    if (item.can_split()) {
      step.kind = PlanStep::Kind::kSplit;
      step.split = step.item;
      const std::vector<int> parts = Parts(step.item, /*with_buffers=*/false);
      pending_.insert(pending_.begin(), parts.begin(), parts.end());
      largest_.Reset(PendingModules());
      filling_.steps.push_back(std::move(step));
      return absl::OkStatus();
    }
    NextDevice(std::move(step));
    return absl::OkStatus();
  }

  void NextDevice(PlanStep step) {
    pending_.push_front(step.item);
    step.kind = PlanStep::Kind::kNextDevice;
    filling_.steps.push_back(std::move(step));
    ++current_;
    used_ = 0;
  }

  absl::Status PlaceTied(PlanStep step, const std::vector<int>& tied,
                         double limit) {
    std::vector<int> partners;  // One for each of `tied`.
    for (const int parameter : tied) {
      const std::string& name = tree_.item(parameter).name;
      const auto found = absl::c_find_if(pending_, [&](int pending) {
        return absl::StrContains(name, tree_.item(pending).name);
      });
      if (found == pending_.end()) {
        return absl::FailedPreconditionError(
            absl::StrCat("IndexError: '", name, "' is tied to '",
                         tree_.item(step.item).name, "' and placed before it"));
      }
      partners.push_back(*found);
      step.bytes += tree_.item(*found).bytes - tree_.item(parameter).bytes;
    }
    step.tied = partners;
    if (used_ + step.bytes <= limit) {
      used_ += step.bytes;
      filling_.devices[step.item] = shelf().device;
      for (const int partner : partners) {
        filling_.devices[partner] = shelf().device;
        const auto found = absl::c_find(pending_, partner);
        if (found != pending_.end()) pending_.erase(found);
      }
      filling_.steps.push_back(std::move(step));
      return absl::OkStatus();
    }
    return SplitPartner(std::move(step), partners);
  }

  // They do not fit together: divides the first partner that can be.
  absl::Status SplitPartner(PlanStep step, const std::vector<int>& partners) {
    for (const int partner : partners) {
      if (!tree_.item(partner).is_module()) {
        return absl::FailedPreconditionError(absl::StrCat(
            "AttributeError: parameter '", tree_.item(partner).name,
            "' does not fit together with what it is tied to"));
      }
      if (!tree_.item(partner).can_split()) continue;
      step.kind = PlanStep::Kind::kSplit;
      step.split = partner;
      const std::vector<int> parts = Parts(partner, /*with_buffers=*/false);
      auto at = pending_.erase(absl::c_find(pending_, partner));
      pending_.insert(at, parts.begin(), parts.end());
      pending_.push_front(step.item);
      largest_.Reset(PendingModules());
      filling_.steps.push_back(std::move(step));
      return absl::OkStatus();
    }
    NextDevice(std::move(step));
    return absl::OkStatus();
  }

  const SizedTree& tree_;
  const std::vector<Shelf> shelves_;
  const std::vector<std::vector<int>> ties_;

  std::deque<int> pending_;  // Items still to be placed, in order.
  LargestPending largest_;
  size_t current_ = 0;  // Index into shelves_.
  double used_ = 0;     // Bytes on it.
  Filling filling_;
};

}  // namespace

absl::StatusOr<Filling> FillAsAccelerate(const SizedTree& tree,
                                         const MaxMemory& max_memory) {
  return AccelerateFiller(tree, max_memory).Fill();
}

std::vector<std::vector<int>> TiesThatAccelerateFinds(const SizedTree& tree) {
  std::vector<int> tied;  // All tied parameters, in order.
  for (const std::vector<int>& group : tree.ties()) {
    tied.insert(tied.end(), group.begin(), group.end());
  }
  absl::c_sort(tied);
  // In each module but the root it sees the first name that the module has of
  // a tensor, and notes it if that is not the first in the whole model.
  std::vector<std::vector<int>> found(tree.ties().size());
  std::vector<int> order;
  if (tied.empty()) return {};
  for (int i = 1; i < static_cast<int>(tree.items().size()); ++i) {
    const TreeItem& module = tree.item(i);
    if (!module.is_module()) continue;
    absl::flat_hash_set<int> seen;
    for (auto at = absl::c_lower_bound(tied, i);
         at != tied.end() && *at < module.end; ++at) {
      const int tie = tree.item(*at).tie;
      if (!seen.insert(tie).second || tree.ties()[tie][0] == *at) continue;
      if (found[tie].empty()) order.push_back(tie);
      found[tie].push_back(*at);
    }
  }
  std::vector<std::vector<int>> groups;
  for (const int tie : order) {
    std::vector<int>& group = groups.emplace_back(std::move(found[tie]));
    group.push_back(tree.ties()[tie][0]);
    absl::c_sort(group, [&](int a, int b) {
      return tree.item(a).name < tree.item(b).name;
    });
    group.erase(std::unique(group.begin(), group.end()), group.end());
  }
  return groups;
}

}  // namespace pretrained
