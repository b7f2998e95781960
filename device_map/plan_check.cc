#include "device_map/plan_check.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "device_map/device.h"
#include "device_map/device_map.h"
#include "device_map/max_memory.h"
#include "device_map/sized_tree.h"

namespace pretrained {
namespace {

using Devices = std::vector<std::optional<Device>>;

// The device of each item that an entry covers.
Devices CoveredItems(const SizedTree& tree, const DeviceMap& device_map) {
  Devices devices(tree.items().size());
  for (const DeviceMapEntry& entry : device_map) {
    if (const std::optional<int> item = tree.Find(entry.module);
        item.has_value()) {
      devices[*item] = entry.device;
    }
  }
  for (size_t i = 1; i < devices.size(); ++i) {
    if (!devices[i].has_value()) devices[i] = devices[tree.item(i).parent];
  }
  return devices;
}

void CheckBudgets(const SizedTree& tree, const Devices& devices,
                  const MaxMemory& max_memory,
                  std::vector<std::string>& problems) {
  std::map<Device, double> held;
  for (size_t i = 0; i < devices.size(); ++i) {
    if (!devices[i].has_value() || tree.item(i).is_module()) continue;
    held[*devices[i]] += tree.item(i).bytes;
  }
  for (const auto& [device, bytes] : held) {
    const std::optional<double> budget = BudgetOf(max_memory, device);
    if (!budget.has_value() && device == Device::Disk()) continue;
    if (bytes > budget.value_or(0)) {
      problems.push_back(absl::StrCat(device.ToString(), " holds ", bytes,
                                      " bytes, but may hold ",
                                      budget.value_or(0)));
    }
  }
}

void CheckNotSplit(const SizedTree& tree, const Devices& devices,
                   std::vector<std::string>& problems) {
  int i = 1;  // Not the root.
  while (i < static_cast<int>(devices.size())) {
    const TreeItem& item = tree.item(i);
    if (!item.no_split) {
      ++i;
      continue;
    }
    std::optional<Device> first;
    bool split = false;
    for (int inner = i; inner < item.end; ++inner) {
      if (tree.item(inner).is_module() || !devices[inner].has_value()) continue;
      if (!first.has_value()) first = devices[inner];
      split |= devices[inner] != first;
    }
    if (split) {
      problems.push_back(absl::StrCat("'", item.name, "' (", item.class_name,
                                      ") is not to be split, but is"));
    }
    i = item.end;
  }
}

}  // namespace

std::vector<std::string> ProblemsOfPlan(const SizedTree& tree,
                                        const DeviceMap& device_map,
                                        const MaxMemory& max_memory) {
  std::vector<std::string> problems;
  for (const absl::Status& status :
       {CheckDeviceMap(tree, device_map, std::nullopt),
        CheckTiesTogether(tree, device_map)}) {
    if (!status.ok()) problems.emplace_back(status.message());
  }
  const Devices devices = CoveredItems(tree, device_map);
  CheckBudgets(tree, devices, max_memory, problems);
  CheckNotSplit(tree, devices, problems);
  return problems;
}

}  // namespace pretrained
