#include "device_map/ordered_filling.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "device_map/device.h"
#include "device_map/largest_layer.h"
#include "device_map/max_memory.h"
#include "device_map/plan.h"
#include "device_map/sized_tree.h"

namespace pretrained {
namespace {

class OrderedFiller {
 public:
  OrderedFiller(const SizedTree& tree, const MaxMemory& max_memory)
      : tree_(tree), shelves_(ShelvesOf(max_memory)), largest_(tree, Parts(0)) {
    const std::vector<int> parts = Parts(0);
    pending_.assign(parts.begin(), parts.end());
    const std::optional<double> disk = BudgetOf(max_memory, Device::Disk());
    if (disk.has_value()) shelves_.back().limit = *disk;
    filling_.devices.resize(tree.items().size());
  }

  absl::StatusOr<Filling> Fill() {
    while (!pending_.empty()) {
      const std::vector<int> together = Together();
      double bytes = 0;
      for (const int item : together) bytes += tree_.item(item).bytes;
      // What is being placed needs no room beside itself.
      for (const int item : together) {
        largest_.Remove(item, [&] { return PendingBut(together); });
      }
      const Shelf& shelf = shelves_[current_];
      const double kept_free = shelf.keeps_room ? largest_.bytes() : 0;
      PlanStep step{.item = together[0],
                    .device = shelf.device,
                    .tied = {together.begin() + 1, together.end()},
                    .bytes = bytes,
                    .used_before = used_,
                    .kept_free = kept_free};
      if (used_ + bytes <= shelf.limit - kept_free) {
        for (const int item : together) filling_.devices[item] = shelf.device;
        used_ += bytes;
        Take(together);
      } else if (const int split = LargestDivisible(together); split != -1) {
        step.kind = PlanStep::Kind::kSplit;
        step.split = split;
        const std::vector<int> parts = Parts(split);
        auto at = pending_.erase(absl::c_find(pending_, split));
        pending_.insert(at, parts.begin(), parts.end());
        largest_.Reset(Pending());
      } else {
        step.kind = PlanStep::Kind::kNextDevice;
        if (++current_ == shelves_.size()) return NoRoom(step);
        used_ = 0;
        largest_.Reset(Pending());
      }
      filling_.steps.push_back(std::move(step));
    }
    return std::move(filling_);
  }

 private:
  // What is directly within a module: parameters, modules, buffers.
  std::vector<int> Parts(int index) const {
    std::vector<int> parts = tree_.Children(index);
    std::stable_partition(parts.begin(), parts.end(), [&](int part) {
      return tree_.item(part).kind != TreeItem::Kind::kBuffer;
    });
    return parts;
  }

  std::vector<int> Pending() const {
    return {pending_.begin(), pending_.end()};
  }

  std::vector<int> PendingBut(const std::vector<int>& taken) const {
    std::vector<int> rest;
    rest.reserve(pending_.size());
    for (const int item : pending_) {
      if (!absl::c_linear_search(taken, item)) rest.push_back(item);
    }
    return rest;
  }

  void Take(const std::vector<int>& together) {
    if (together.size() == 1) {
      pending_.pop_front();
    } else {
      const std::vector<int> rest = PendingBut(together);
      pending_.assign(rest.begin(), rest.end());
    }
  }

  // The first pending item and all that ties, over however many steps, bind it
  // to.
  std::vector<int> Together() const {
    std::vector<int> together = {pending_.front()};
    if (tree_.ties().empty()) return together;
    absl::flat_hash_set<int> seen_ties;
    for (size_t n = 0; n < together.size(); ++n) {
      const int item = together[n];
      for (int i = item; i < tree_.item(item).end; ++i) {
        const int tie = tree_.item(i).tie;
        if (tie == -1 || !seen_ties.insert(tie).second) continue;
        for (const int name : tree_.ties()[tie]) {
          const auto holder = absl::c_find_if(pending_, [&](int pending) {
            return pending <= name && name < tree_.item(pending).end;
          });
          // Ties are placed together, so that all are pending.
          if (holder != pending_.end() &&
              !absl::c_linear_search(together, *holder)) {
            together.push_back(*holder);
          }
        }
      }
    }
    return together;
  }

  int LargestDivisible(const std::vector<int>& items) const {
    int largest = -1;
    for (const int item : items) {
      if (tree_.item(item).can_split() &&
          (largest == -1 ||
           tree_.item(item).bytes > tree_.item(largest).bytes)) {
        largest = item;
      }
    }
    return largest;
  }

  absl::Status NoRoom(const PlanStep& step) const {
    const TreeItem& item = tree_.item(step.item);
    const double limit = shelves_.back().limit;
    return absl::ResourceExhaustedError(absl::StrCat(
        "device map: '", item.name, "' (", step.bytes,
        " bytes with what it is tied to) fits no device: the disk, the last, "
        "may hold ",
        limit, " bytes and holds ", step.used_before, "; raise a budget"));
  }

  const SizedTree& tree_;
  std::vector<Shelf> shelves_;
  std::deque<int> pending_;  // Items still to be placed, in order.
  LargestPending largest_;
  size_t current_ = 0;  // Index into shelves_.
  double used_ = 0;     // Bytes on it.
  Filling filling_;
};

}  // namespace

absl::StatusOr<Filling> FillInOrder(const SizedTree& tree,
                                    const MaxMemory& max_memory) {
  return OrderedFiller(tree, max_memory).Fill();
}

}  // namespace pretrained
