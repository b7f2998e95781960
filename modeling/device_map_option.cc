#include "modeling/device_map_option.h"

#include <string>

#include "absl/algorithm/container.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

constexpr absl::string_view kStrategies[] = {"auto", "balanced",
                                             "balanced_low_0", "sequential"};

absl::Status NotOnTheCpu(absl::string_view device) {
  return absl::UnimplementedError(
      absl::StrCat("device_map: '", device,
                   "': this version places models on the CPU only; use \"auto\""
                   " or \"cpu\""));
}

}  // namespace

absl::StatusOr<DeviceMapEntries> ResolveDeviceMap(
    absl::string_view device_map) {
  const DeviceMapEntries on_cpu = {{"", "cpu"}};
  if (device_map.empty() || device_map == "cpu" ||
      absl::c_linear_search(kStrategies, device_map)) {
    return on_cpu;
  }
  if (device_map.front() != '{') return NotOnTheCpu(device_map);
  const auto json = nlohmann::ordered_json::parse(device_map.begin(),
                                                  device_map.end(), nullptr,
                                                  /*allow_exceptions=*/false);
  if (!json.is_object() || json.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "device_map: ", device_map,
        " is not a JSON object of module names and devices, such as "
        "{\"\": \"cpu\"}"));
  }
  for (const auto& [module, device] : json.items()) {
    if (!device.is_string() || device.get<std::string>() != "cpu") {
      return NotOnTheCpu(device.dump());
    }
  }
  return on_cpu;
}

}  // namespace pretrained
