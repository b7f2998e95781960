#include "device_map/largest_layer.h"

#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "device_map/device.h"
#include "device_map/max_memory.h"
#include "device_map/sized_tree.h"

namespace pretrained {

void LargestPending::Remove(int item,
                            absl::FunctionRef<std::vector<int>()> pending) {
  layers_.erase(layers_.lower_bound(item),
                layers_.lower_bound(tree_.item(item).end));
  if (layers_.empty()) Reset(pending());
}

void LargestPending::Reset(absl::Span<const int> pending) {
  const LargestLayer largest = FindLargestLayer(tree_, pending);
  bytes_ = largest.bytes;
  layers_ = {largest.layers.begin(), largest.layers.end()};
}

std::vector<Shelf> ShelvesOf(const MaxMemory& max_memory) {
  std::vector<Shelf> shelves;
  for (const MemoryBudget& budget : max_memory) {
    if (budget.device == Device::Disk()) continue;
    shelves.push_back(
        {.device = budget.device,
         .limit = budget.bytes,
         .keeps_room = shelves.empty() || budget.device == Device::Cpu()});
  }
  shelves.push_back({.device = Device::Disk()});
  return shelves;
}

}  // namespace pretrained
