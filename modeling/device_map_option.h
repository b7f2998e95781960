#ifndef PRETRAINED_MODELING_DEVICE_MAP_OPTION_H_
#define PRETRAINED_MODELING_DEVICE_MAP_OPTION_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace pretrained {

// Module name to device, in order: {{"", "cpu"}} is the whole model on the CPU.
using DeviceMapEntries = std::vector<std::pair<std::string, std::string>>;

// What from_pretrained's `device_map` comes to where the CPU is the one device:
// nothing, "cpu", the strategies ("auto", "balanced", "balanced_low_0",
// "sequential") and a JSON object whose every device is "cpu" all place the
// whole model there. kUnimplemented for any other device, kInvalidArgument for
// text that is none of these.
absl::StatusOr<DeviceMapEntries> ResolveDeviceMap(absl::string_view device_map);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_DEVICE_MAP_OPTION_H_
