#ifndef PRETRAINED_DEVICE_MAP_PLAN_H_
#define PRETRAINED_DEVICE_MAP_PLAN_H_

#include <optional>
#include <string>
#include <vector>

#include "device_map/device.h"
#include "device_map/device_map.h"
#include "device_map/max_memory.h"
#include "device_map/sized_tree.h"

namespace pretrained {

// One thing that happened while devices were filled: what explanations are
// made from.
struct PlanStep {
  enum class Kind {
    kPlaced,      // `item` and `tied` went to `device`.
    kSplit,       // `split` did not fit with the rest: its parts are next.
    kNextDevice,  // `item` did not fit and cannot be split: `device` is full.
  };

  Kind kind = Kind::kPlaced;
  int item = 0;  // Of the sized tree.
  Device device = Device::Disk();
  std::vector<int> tied;   // What has to go along with it.
  int split = -1;          // Which item is divided, of kSplit.
  double bytes = 0;        // Of `item` and `tied`.
  double used_before = 0;  // Bytes that `device` held already.
  // Bytes of the largest layer still to be placed, for which `device` keeps
  // room: it runs what is offloaded.
  double kept_free = 0;
};

// A device map, and how it came about.
struct Plan {
  DeviceMap device_map;
  // The budgets it keeps: those given, lowered where the strategy balances.
  MaxMemory max_memory;
  // Empty for a map that was not computed.
  std::vector<PlanStep> steps;
  // Why the map is not accelerate's: what is wrong with that one. Empty if the
  // two are the same.
  std::string departs_because;
};

// What filling the devices in order comes to, before names are cleaned.
struct Filling {
  std::vector<std::optional<Device>> devices;  // Of each item; most have none.
  std::vector<PlanStep> steps;
};

// The entries of `filling`, cleaned.
DeviceMap MapOf(const SizedTree& tree, const Filling& filling);

// Bytes that each device holds, as the tree counts them: the devices of
// `max_memory`, then others that are used. Of tied parameters the first counts.
std::vector<MemoryBudget> BytesPerDevice(const SizedTree& tree,
                                         const DeviceMap& device_map,
                                         const MaxMemory& max_memory);

}  // namespace pretrained

#endif  // PRETRAINED_DEVICE_MAP_PLAN_H_
