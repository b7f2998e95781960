#include "device_map/max_memory.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "device_map/device.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using Json = nlohmann::ordered_json;

struct Unit {
  absl::string_view name;  // Compared without regard to case.
  double bytes;
  bool may_be_bits;
};

constexpr Unit kUnits[] = {
    {"GiB", 1 << 30, false}, {"MiB", 1 << 20, false}, {"KiB", 1 << 10, false},
    {"GB", 1e9, true},       {"MB", 1e6, true},       {"KB", 1e3, true},
};

// Beyond this doubles no longer count single bytes.
constexpr double kMostBytes = 9007199254740992.0;  // 2^53

absl::Status BadSize(absl::string_view text) {
  return absl::InvalidArgumentError(absl::StrCat(
      "max_memory: '", text.substr(0, 80),
      "' is not a size; give a number of bytes, or text with a unit, such as "
      "\"10GiB\" or \"5GB\""));
}

absl::StatusOr<double> BudgetFromJson(const Json& value) {
  if (value.is_string()) {
    absl::StatusOr<int64_t> bytes = ParseMemorySize(value.get<std::string>());
    if (!bytes.ok()) return bytes.status();
    return static_cast<double>(*bytes);
  }
  if (!value.is_number()) return BadSize(value.dump());
  return value.get<double>();
}

}  // namespace

absl::StatusOr<int64_t> ParseMemorySize(absl::string_view text) {
  for (const Unit& unit : kUnits) {
    if (!absl::EndsWithIgnoreCase(text, unit.name)) continue;
    absl::string_view digits = absl::StripAsciiWhitespace(
        text.substr(0, text.size() - unit.name.size()));
    double number = 0;
    // Python's float() takes no hexadecimal, SimpleAtod() does.
    if (absl::StrContainsIgnoreCase(digits, "x") ||
        !absl::SimpleAtod(digits, &number) || !std::isfinite(number) ||
        number * unit.bytes > kMostBytes) {
      return BadSize(text);
    }
    int64_t bytes = static_cast<int64_t>(number * unit.bytes);
    if (unit.may_be_bits && text.back() == 'b') bytes /= 8;
    if (bytes <= 0) return BadSize(text);
    return bytes;
  }
  return BadSize(text);
}

absl::StatusOr<MaxMemory> MakeMaxMemory(std::vector<MemoryBudget> budgets) {
  std::sort(budgets.begin(), budgets.end(),
            [](const MemoryBudget& a, const MemoryBudget& b) {
              return a.device < b.device;
            });
  for (size_t i = 0; i < budgets.size(); ++i) {
    const MemoryBudget& budget = budgets[i];
    const std::string device = budget.device.ToString();
    if (budget.device == Device::Meta()) {
      return absl::InvalidArgumentError(
          "max_memory: meta holds no bytes; budgets are for GPUs, cpu and "
          "disk");
    }
    if (i > 0 && budgets[i - 1].device == budget.device) {
      return absl::InvalidArgumentError(
          absl::StrCat("max_memory: ", device, " has two budgets; give one"));
    }
    if (!(budget.bytes >= 0) || budget.bytes > kMostBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("max_memory: ", device, " may hold ", budget.bytes,
                       " bytes; give a number of at least 0"));
    }
  }
  return budgets;
}

absl::StatusOr<MaxMemory> ParseMaxMemory(absl::string_view json) {
  const Json document = Json::parse(json.begin(), json.end(), nullptr,
                                    /*allow_exceptions=*/false);
  if (!document.is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "max_memory: ", json.substr(0, 80),
        " is not a JSON object of devices and limits, such as {\"0\": "
        "\"10GiB\", \"cpu\": \"30GB\"}"));
  }
  std::vector<MemoryBudget> budgets;
  for (const auto& [name, value] : document.items()) {
    absl::StatusOr<Device> device = Device::Parse(name);
    if (!device.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("max_memory: ", device.status().message()));
    }
    absl::StatusOr<double> bytes = BudgetFromJson(value);
    if (!bytes.ok()) return bytes.status();
    budgets.push_back({*device, *bytes});
  }
  return MakeMaxMemory(std::move(budgets));
}

std::optional<double> BudgetOf(const MaxMemory& max_memory, Device device) {
  for (const MemoryBudget& budget : max_memory) {
    if (budget.device == device) return budget.bytes;
  }
  return std::nullopt;
}

}  // namespace pretrained
