#include "device_map/largest_layer.h"

#include <algorithm>
#include <vector>

#include "absl/functional/function_ref.h"
#include "device_map/device.h"
#include "device_map/max_memory.h"
#include "device_map/sized_tree.h"

namespace pretrained {

void LargestPending::Remove(int item,
                            absl::FunctionRef<std::vector<int>()> pending) {
  const int end = tree_.item(item).end;
  auto& layers = largest_.layers;
  // Layers are in no certain order once items were divided, but few remain.
  layers.erase(
      std::remove_if(layers.begin(), layers.end(),
                     [&](int layer) { return item <= layer && layer < end; }),
      layers.end());
  if (layers.empty()) Reset(pending());
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
