#include "device_map/balanced_memory.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "device_map/device.h"
#include "device_map/max_memory.h"
#include "device_map/sized_tree.h"

namespace pretrained {
namespace {

// The largest over the classes that are not to be split of the first module of
// each: in the order in which sizes are found, parameters come before buffers.
double LargestFirstOfClass(const SizedTree& tree) {
  struct First {
    double bytes = 0;
    bool has_parameters = false;
  };
  absl::flat_hash_map<absl::string_view, First> first_of;
  for (const TreeItem& item : tree.items()) {
    if (!item.no_split || item.parent < 0 || !item.has_tensors) continue;
    const auto [found, added] = first_of.try_emplace(
        item.class_name, First{item.bytes, item.has_parameters});
    if (!added && item.has_parameters && !found->second.has_parameters) {
      found->second = {item.bytes, true};
    }
  }
  double largest = 0;
  for (const auto& [name, first] : first_of) {
    largest = std::max(largest, first.bytes);
  }
  return largest;
}

// The mean size of the modules that have tensors, and no such module in them.
double MeanOfLastModules(const SizedTree& tree) {
  std::vector<bool> has_inner(tree.items().size(), false);
  for (const TreeItem& item : tree.items()) {
    if (item.is_module() && item.has_tensors && item.parent >= 0) {
      has_inner[item.parent] = true;
    }
  }
  double sum = 0;
  int64_t count = 0;
  for (size_t i = 1; i < tree.items().size(); ++i) {
    const TreeItem& item = tree.item(i);
    if (!item.is_module() || !item.has_tensors || has_inner[i]) continue;
    sum += item.bytes;
    ++count;
  }
  return std::trunc(sum / std::max<int64_t>(count, 1));
}

MemoryBudget* Find(MaxMemory& max_memory, Device device) {
  const auto found = absl::c_find_if(
      max_memory,
      [&](const MemoryBudget& budget) { return budget.device == device; });
  return found == max_memory.end() ? nullptr : &*found;
}

// What the GPUs beside GPU 0 may hold together. accelerate counts 1, 2, .. up
// to the number of GPUs that have a budget, whichever these are.
double BytesBesideGpu0(MaxMemory& max_memory, int num_gpus) {
  double by_number = 0;
  bool has_gap = false;
  for (int i = 1; i < num_gpus; ++i) {
    const MemoryBudget* budget = Find(max_memory, Device::Gpu(i));
    if (budget == nullptr) {
      has_gap = true;
    } else {
      by_number += budget->bytes;
    }
  }
  if (!has_gap) return by_number;
  double all = 0;
  for (const MemoryBudget& budget : max_memory) {
    if (budget.device.is_gpu() && budget.device != Device::Gpu(0)) {
      all += budget.bytes;
    }
  }
  return all;
}

}  // namespace

MaxMemory BalanceMemory(const SizedTree& tree, const MaxMemory& max_memory,
                        const BalanceOptions& options) {
  MaxMemory balanced = max_memory;
  std::vector<MemoryBudget*> gpus;  // Those that may hold something.
  for (MemoryBudget& budget : balanced) {
    if (budget.device.is_gpu() && budget.bytes > 0) gpus.push_back(&budget);
  }
  if (gpus.empty()) return balanced;
  const int num_gpus = static_cast<int>(gpus.size());
  if (num_gpus == 1 && options.all_that_is_free) {
    // The first GPU, as in accelerate, even if it has nothing free.
    balanced.front().bytes *= 0.9;
  }
  const bool low_zero = options.low_zero && num_gpus > 1 &&
                        gpus.front()->device == Device::Gpu(0);
  const double total = tree.root().bytes;
  const int shares = low_zero ? num_gpus - 1 : num_gpus;
  // More than an even share, or what is left of it on each GPU adds up.
  const double buffer = std::trunc(
      1.25 * std::max(LargestFirstOfClass(tree), MeanOfLastModules(tree)));
  const double share = (total - std::fmod(total, shares)) / shares + buffer;
  for (int i = 0; i + 1 < num_gpus; ++i) {
    if (low_zero && i == 0) continue;
    gpus[i]->bytes = std::min(share, gpus[i]->bytes);
  }
  if (low_zero) {
    const double left =
        std::max(0.0, total - BytesBesideGpu0(balanced, num_gpus));
    gpus[0]->bytes = std::min(left, gpus[0]->bytes);
  }
  return balanced;
}

}  // namespace pretrained
