#ifndef PRETRAINED_DEVICE_MAP_DEVICE_MAP_H_
#define PRETRAINED_DEVICE_MAP_DEVICE_MAP_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "device_map/device.h"
#include "device_map/sized_tree.h"

namespace pretrained {

// Where one module (or tensor) goes, and all within it that has no entry of its
// own. The empty name is the whole model.
struct DeviceMapEntry {
  std::string module;
  Device device;

  friend bool operator==(const DeviceMapEntry&,
                         const DeviceMapEntry&) = default;
};

// Which module goes where, in the order of the model.
using DeviceMap = std::vector<DeviceMapEntry>;

// A map from text: the name of a device, for the whole model ("cpu", "cuda:0",
// "0"), or a JSON object of names and devices ({"": "cpu"},
// {"model.embed": 0, "model.layers": "cpu"}). kInvalidArgument if it is
// neither; a negative number and a name that occurs twice are refused too.
absl::StatusOr<DeviceMap> ParseDeviceMap(absl::string_view text);

// The map as that JSON object; GPUs are numbers.
std::string DeviceMapJson(const DeviceMap& device_map);

// The same map in as few entries as its names allow: where all entries below a
// module are on one device, the module takes their place.
// Matches: accelerate 0.23 utils/modeling.py `clean_device_map`.
// Differs: where a module has an entry and those below it agree on another
//     device, there the module's own is overwritten; here none is touched.
DeviceMap CleanDeviceMap(const DeviceMap& device_map);

// The device of each item of the tree, by index: that of its own entry, else
// that of the module it is in. A module or tensor that nothing says where to
// put has none; but a buffer goes where the first part of its module goes, for
// accelerate's maps leave those of divided modules out.
std::vector<std::optional<Device>> DevicesOfItems(const SizedTree& tree,
                                                  const DeviceMap& device_map);

// Checks a map against a model. kInvalidArgument, with all that is wrong, for
//   - a name that is no module or tensor of the model (the nearest is named),
//   - parameters that no entry covers,
//   - a device not among `devices` (cpu, disk and meta always exist), unless
//     that is nullopt: then any GPU may exist.
// Matches: accelerate 0.23 utils/modeling.py `check_device_map`.
// Differs: there unknown names pass, devices are not looked at, and a buffer
//     of the state dict must be covered; here it follows its module.
absl::Status CheckDeviceMap(const SizedTree& tree, const DeviceMap& device_map,
                            std::optional<absl::Span<const Device>> devices);

// kInvalidArgument, naming the first two, if the names of one tensor are on
// several devices. Such a map loads in the peer, with a warning, and unties
// them.
absl::Status CheckTiesTogether(const SizedTree& tree,
                               const DeviceMap& device_map);

}  // namespace pretrained

#endif  // PRETRAINED_DEVICE_MAP_DEVICE_MAP_H_
