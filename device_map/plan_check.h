#ifndef PRETRAINED_DEVICE_MAP_PLAN_CHECK_H_
#define PRETRAINED_DEVICE_MAP_PLAN_CHECK_H_

#include <string>
#include <vector>

#include "device_map/device_map.h"
#include "device_map/max_memory.h"
#include "device_map/sized_tree.h"

namespace pretrained {

// What is wrong with a map as a plan within `max_memory`, one sentence each;
// empty if it is valid:
//   - every entry names something of the model, every parameter is covered,
//   - no device holds more than its budget, and none without a budget holds
//     anything, but for the disk,
//   - the names of a tied parameter are on one device,
//   - a module that is not to be split (the root aside, which always may be) is
//     on one device.
// A buffer of a divided module that no entry covers counts nowhere: accelerate
// leaves it to whoever moves the module.
// It knows nothing of how plans are made: it is what they are tested with.
std::vector<std::string> ProblemsOfPlan(const SizedTree& tree,
                                        const DeviceMap& device_map,
                                        const MaxMemory& max_memory);

}  // namespace pretrained

#endif  // PRETRAINED_DEVICE_MAP_PLAN_CHECK_H_
