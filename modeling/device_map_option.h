#ifndef PRETRAINED_MODELING_DEVICE_MAP_OPTION_H_
#define PRETRAINED_MODELING_DEVICE_MAP_OPTION_H_

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "device_map/device.h"
#include "dtypes/dtype.h"
#include "modeling/model_layout.h"

namespace pretrained {

// Module name to device, in order: {{"", "cpu"}} is the whole model on the CPU.
using DeviceMapEntries = std::vector<std::pair<std::string, std::string>>;

// The arguments of from_pretrained that say where a model goes.
struct PlacementRequest {
  // A strategy ("auto", ..), the name of a device, or a JSON object of modules
  // and devices. Empty: all on the CPU.
  std::string device_map;
  // Device to bytes, or a size such as "10GB".
  std::map<std::string, std::string> max_memory;
  Dtype dtype = Dtype::kFloat32;  // Of the floating weights once loaded.
  // GPUs that this build and this machine have.
  std::vector<Device> gpus;
};

// Where each tensor of a model goes.
struct Placement {
  DeviceMapEntries device_map;  // As it was made, or given.
  // By full name, buffers too; those of one tied parameter are on one device.
  absl::flat_hash_map<std::string, Device> devices;

  // The CPU for a name that is not there.
  Device DeviceOf(absl::string_view name) const;
  bool uses(Device::Kind kind) const;
};

// What `device_map` and `max_memory` come to for a model of this layout.
// Nothing is read. Names of one tied parameter that a map by hand puts on
// several devices are one tensor on the first of these (GPU, CPU, disk, meta),
// with a warning.
//   kInvalidArgument    text that is neither strategy, device nor map; a map
//                       that is wrong (CheckDeviceMap()), naming what; a device
//                       that is not here, listing those that are; a tie torn
//                       between GPUs; max_memory without device_map, or of a
//                       device twice
//   kResourceExhausted  budgets that do not hold the model, or the largest
//                       layer that is to run on the CPU from the disk, saying
//                       how much is needed
// Matches: transformers 4.34 modeling_utils.py `from_pretrained`, from
//     `device_map` on; accelerate 0.23 (device_map/planner.h).
// Differs: classes without `_no_split_modules` may be planned, every module may
//     be split then; a map by hand keeps max_memory; names are checked.
absl::StatusOr<Placement> PlaceModel(const ModelLayout& layout,
                                     const PlacementRequest& request);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_DEVICE_MAP_OPTION_H_
