#include "device_map/plan.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "device_map/device.h"
#include "device_map/device_map.h"
#include "device_map/max_memory.h"
#include "device_map/sized_tree.h"

namespace pretrained {

DeviceMap MapOf(const SizedTree& tree, const Filling& filling) {
  DeviceMap entries;
  for (size_t i = 0; i < filling.devices.size(); ++i) {
    if (filling.devices[i].has_value()) {
      entries.push_back({tree.item(i).name, *filling.devices[i]});
    }
  }
  return CleanDeviceMap(entries);
}

std::vector<MemoryBudget> BytesPerDevice(const SizedTree& tree,
                                         const DeviceMap& device_map,
                                         const MaxMemory& max_memory) {
  std::vector<MemoryBudget> held;
  for (const MemoryBudget& budget : max_memory) {
    held.push_back({budget.device, 0});
  }
  const std::vector<std::optional<Device>> devices =
      DevicesOfItems(tree, device_map);
  for (size_t i = 0; i < devices.size(); ++i) {
    if (!devices[i].has_value() || tree.item(i).is_module()) continue;
    auto at = std::find_if(held.begin(), held.end(), [&](const auto& entry) {
      return entry.device == *devices[i];
    });
    if (at == held.end()) at = held.insert(at, {*devices[i], 0});
    at->bytes += tree.item(i).bytes;
  }
  std::sort(held.begin(), held.end(),
            [](const MemoryBudget& a, const MemoryBudget& b) {
              return a.device < b.device;
            });
  return held;
}

}  // namespace pretrained
