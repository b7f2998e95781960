#include "modeling/device_map_option.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/log/log.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "device_map/device.h"
#include "device_map/device_map.h"
#include "device_map/machine_memory.h"
#include "device_map/max_memory.h"
#include "device_map/plan.h"
#include "device_map/planner.h"
#include "device_map/sized_tree.h"
#include "dtypes/dtype.h"
#include "modeling/model_layout.h"

namespace pretrained {
namespace {

// "cpu, disk, meta", and the GPUs.
std::string DevicesHere(const std::vector<Device>& gpus) {
  std::string text;
  for (const Device& gpu : gpus) absl::StrAppend(&text, gpu.ToString(), ", ");
  absl::StrAppend(&text, "cpu, disk and meta");
  if (gpus.empty()) {
    absl::StrAppend(&text, " (GPUs take a build with --config=cuda)");
  }
  return text;
}

// `status` with what devices there are, where it may be about these.
absl::Status ListingDevices(const absl::Status& status,
                            const std::vector<Device>& gpus) {
  return absl::Status(
      status.code(),
      absl::StrCat(status.message(), "; devices here: ", DevicesHere(gpus)));
}

absl::StatusOr<MaxMemory> BudgetsOf(const PlacementRequest& request) {
  std::vector<MemoryBudget> budgets;
  for (const auto& [name, limit] : request.max_memory) {
    const absl::StatusOr<Device> device = Device::Parse(name);
    if (!device.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("max_memory: ", device.status().message()));
    }
    if (device->is_gpu() && !absl::c_linear_search(request.gpus, *device)) {
      return ListingDevices(
          absl::InvalidArgumentError(
              absl::StrCat("max_memory: there is no GPU ", device->ToString())),
          request.gpus);
    }
    MemoryBudget budget{.device = *device};
    if (int64_t bytes; absl::SimpleAtoi(limit, &bytes)) {
      budget.bytes = static_cast<double>(bytes);
    } else {
      const absl::StatusOr<int64_t> size = ParseMemorySize(limit);
      if (!size.ok()) {
        return absl::InvalidArgumentError(absl::StrCat(
            "max_memory: '", name, "': ", size.status().message()));
      }
      budget.bytes = static_cast<double>(*size);
    }
    budgets.push_back(budget);
  }
  return MakeMaxMemory(std::move(budgets));
}

// What is free on the devices that there are.
absl::StatusOr<MaxMemory> FreeMemoryHere(const std::vector<Device>& gpus) {
  absl::StatusOr<MaxMemory> free = FreeMemory();
  if (!free.ok()) return free;
  std::erase_if(*free, [&](const MemoryBudget& budget) {
    return budget.device.is_gpu() &&
           !absl::c_linear_search(gpus, budget.device);
  });
  return free;
}

absl::StatusOr<SizedTree> Measure(const ModelLayout& layout, Dtype dtype) {
  SizeOptions sizes{.bits = static_cast<int>(8 * DtypeSize(dtype)),
                    .no_split_classes = layout.no_split_modules};
  if (dtype == Dtype::kFloat16) {
    ForEachParameter(
        layout.tree.root,
        [&](const std::string& name, const TensorSpec&, const ModuleNode&) {
          if (absl::c_any_of(layout.keep_in_fp32_modules,
                             [&](const std::string& part) {
                               return absl::StrContains(name, part);
                             })) {
            sizes.special_bits[name] = 32;
          }
        });
  }
  return SizedTree::Create(layout.tree, sizes);
}

// What runs on the CPU out of the disk needs room there.
absl::Status CheckLargestLayer(const SizedTree& tree,
                               const DeviceMap& device_map,
                               const MaxMemory& max_memory) {
  const std::optional<double> cpu = BudgetOf(max_memory, Device::Cpu());
  if (!cpu.has_value() || absl::c_any_of(max_memory, [](const auto& budget) {
        return budget.device.is_gpu();
      })) {
    return absl::OkStatus();
  }
  std::vector<int> on_disk;
  for (const DeviceMapEntry& entry : device_map) {
    const std::optional<int> item = tree.Find(entry.module);
    if (entry.device != Device::Disk() || !item.has_value()) continue;
    if (*item != 0) {
      on_disk.push_back(*item);
      continue;
    }
    for (const int child : tree.Children(0)) on_disk.push_back(child);
  }
  const LargestLayer largest = FindLargestLayer(tree, on_disk);
  if (largest.layers.empty() || largest.bytes <= *cpu) return absl::OkStatus();
  const TreeItem& layer = tree.item(largest.layers[0]);
  return absl::ResourceExhaustedError(
      absl::StrCat("max_memory: cpu may hold ", static_cast<int64_t>(*cpu),
                   " bytes, but '", layer.name, "' (", layer.class_name,
                   "), which is to be on the disk, needs ",
                   static_cast<int64_t>(largest.bytes),
                   " there while it runs; allow as many, or more"));
}

absl::Status CheckBudgets(const SizedTree& tree, const DeviceMap& device_map,
                          const MaxMemory& max_memory) {
  for (const MemoryBudget& held :
       BytesPerDevice(tree, device_map, max_memory)) {
    const std::optional<double> budget = BudgetOf(max_memory, held.device);
    if (budget.has_value() && held.bytes > *budget) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "device_map: what it puts on '", held.device.ToString(), "' takes ",
          static_cast<int64_t>(held.bytes), " bytes, but max_memory allows ",
          static_cast<int64_t>(*budget),
          "; allow as many, or place some of it elsewhere"));
    }
  }
  return absl::OkStatus();
}

// A map by hand, or one device.
absl::StatusOr<DeviceMap> GivenMap(const SizedTree& tree,
                                   const PlacementRequest& request,
                                   const MaxMemory& max_memory) {
  absl::StatusOr<DeviceMap> device_map = ParseDeviceMap(request.device_map);
  if (!device_map.ok()) {
    if (request.device_map.front() == '{') return device_map;
    return absl::InvalidArgumentError(absl::StrCat(
        "device_map: '", request.device_map,
        "' is no device, and none of auto, balanced, balanced_low_0 and "
        "sequential; devices here: ",
        DevicesHere(request.gpus)));
  }
  absl::Status status = CheckDeviceMap(tree, *device_map, request.gpus);
  if (!status.ok()) {
    const bool about_gpus = absl::c_any_of(
        *device_map, [](const auto& entry) { return entry.device.is_gpu(); });
    return about_gpus ? ListingDevices(status, request.gpus) : status;
  }
  status = CheckBudgets(tree, *device_map, max_memory);
  if (!status.ok()) return status;
  return device_map;
}

absl::StatusOr<DeviceMap> MakeMap(const SizedTree& tree,
                                  const PlacementRequest& request) {
  absl::StatusOr<MaxMemory> max_memory = BudgetsOf(request);
  if (!max_memory.ok()) return max_memory.status();
  const std::optional<PlanStrategy> strategy =
      ParsePlanStrategy(request.device_map);
  if (!strategy.has_value()) return GivenMap(tree, request, *max_memory);
  const bool all_that_is_free = request.max_memory.empty();
  if (all_that_is_free) max_memory = FreeMemoryHere(request.gpus);
  if (!max_memory.ok()) return max_memory.status();
  absl::StatusOr<Plan> plan =
      PlanDeviceMap(tree, {.strategy = *strategy,
                           .max_memory = *max_memory,
                           .all_that_is_free = all_that_is_free});
  if (!plan.ok()) return plan.status();
  absl::Status status = CheckLargestLayer(tree, plan->device_map, *max_memory);
  if (!status.ok()) return status;
  return std::move(plan->device_map);
}

// Makes the names of each tied parameter one device's.
absl::Status JoinTies(const SizedTree& tree,
                      std::vector<std::optional<Device>>& devices) {
  for (const std::vector<int>& group : tree.ties()) {
    std::optional<Device> first;
    for (const int item : group) {
      if (!first.has_value() || *devices[item] < *first) first = devices[item];
    }
    for (const int item : group) {
      if (devices[item] == first) continue;
      const std::string torn = absl::StrCat(
          "device_map: '", tree.item(item).name, "' is on ",
          devices[item]->ToString(), ", but is one tensor with a weight on ",
          first->ToString());
      if (devices[item]->is_gpu()) {
        return absl::InvalidArgumentError(
            absl::StrCat(torn, "; place both on one GPU"));
      }
      LOG(WARNING) << torn << ": it goes there";
      devices[item] = first;
    }
  }
  return absl::OkStatus();
}

}  // namespace

Device Placement::DeviceOf(absl::string_view name) const {
  const auto found = devices.find(name);
  return found == devices.end() ? Device::Cpu() : found->second;
}

bool Placement::uses(Device::Kind kind) const {
  return absl::c_any_of(
      devices, [&](const auto& entry) { return entry.second.kind() == kind; });
}

absl::StatusOr<Placement> PlaceModel(const ModelLayout& layout,
                                     const PlacementRequest& request) {
  if (request.device_map.empty()) {
    if (!request.max_memory.empty()) {
      return absl::InvalidArgumentError(
          "max_memory says how much a device map may place where; give "
          "device_map too, such as \"auto\"");
    }
    return Placement{.device_map = {{"", "cpu"}}};
  }
  absl::StatusOr<SizedTree> tree = Measure(layout, request.dtype);
  if (!tree.ok()) return tree.status();
  absl::StatusOr<DeviceMap> device_map = MakeMap(*tree, request);
  if (!device_map.ok()) return device_map.status();
  std::vector<std::optional<Device>> devices =
      DevicesOfItems(*tree, *device_map);
  absl::Status status = JoinTies(*tree, devices);
  if (!status.ok()) return status;
  Placement placement;
  for (const DeviceMapEntry& entry : *device_map) {
    placement.device_map.emplace_back(entry.module, entry.device.ToString());
  }
  for (size_t i = 0; i < devices.size(); ++i) {
    const TreeItem& item = tree->item(static_cast<int>(i));
    if (item.is_module() || !devices[i].has_value()) continue;
    placement.devices.emplace(item.name, *devices[i]);
  }
  return placement;
}

}  // namespace pretrained
