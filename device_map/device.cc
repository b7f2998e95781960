#include "device_map/device.h"

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace pretrained {

absl::StatusOr<Device> Device::Parse(absl::string_view text) {
  if (text == "cpu") return Cpu();
  if (text == "disk") return Disk();
  if (text == "meta") return Meta();
  if (text == "cuda") return Gpu(0);
  absl::string_view digits = text;
  absl::ConsumePrefix(&digits, "cuda:");
  int ordinal = 0;
  if (!digits.empty() && absl::ascii_isdigit(digits.front()) &&
      absl::SimpleAtoi(digits, &ordinal)) {
    return Gpu(ordinal);
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "device '", text.substr(0, 80),
      "' is not known; devices are the numbers of GPUs (0 or cuda:0), cpu, "
      "disk and meta"));
}

std::string Device::ToString() const {
  switch (kind_) {
    case Kind::kGpu:
      return absl::StrCat(ordinal_);
    case Kind::kCpu:
      return "cpu";
    case Kind::kDisk:
      return "disk";
    case Kind::kMeta:
      return "meta";
  }
  return "";
}

}  // namespace pretrained
