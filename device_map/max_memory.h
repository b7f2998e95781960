#ifndef PRETRAINED_DEVICE_MAP_MAX_MEMORY_H_
#define PRETRAINED_DEVICE_MAP_MAX_MEMORY_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "device_map/device.h"

namespace pretrained {

// How many bytes of weights a device may hold.
struct MemoryBudget {
  Device device;
  // A number of bytes may be a fraction, as sizes may: a bool counts an eighth
  // of a byte, an int4 half of one, and a default may be nine tenths.
  double bytes = 0;
};

// `max_memory`: the budgets of a plan, one a device, in the order in which they
// are filled. A device that is absent holds nothing, but for the disk: it takes
// the rest, whatever that is, unless it has a budget.
using MaxMemory = std::vector<MemoryBudget>;

// The number of bytes that a limit such as "10GiB", "5GB" or "1.5MB" stands
// for. KB, MB and GB are powers of 10 (with a small final "b": bits, so an
// eighth), KiB, MiB and GiB powers of 2, in letters of any case.
// kInvalidArgument for anything else, a number without unit and what comes to
// less than one byte included.
// Matches: accelerate 0.23 utils/modeling.py `convert_file_size_to_int`.
// Differs: "infGB" is refused; there it is an OverflowError.
absl::StatusOr<int64_t> ParseMemorySize(absl::string_view text);

// `budgets` in order. kInvalidArgument if a device occurs twice, is meta, or
// may hold less than nothing.
// Matches: accelerate 0.23 utils/modeling.py `get_max_memory`.
// Differs: a negative budget is refused.
absl::StatusOr<MaxMemory> MakeMaxMemory(std::vector<MemoryBudget> budgets);

// As MakeMaxMemory(), from a JSON object of devices and limits:
// {"0": "10GiB", "cpu": 30000000000}.
absl::StatusOr<MaxMemory> ParseMaxMemory(absl::string_view json);

// The budget of `device`; nullopt if it has none.
std::optional<double> BudgetOf(const MaxMemory& max_memory, Device device);

}  // namespace pretrained

#endif  // PRETRAINED_DEVICE_MAP_MAX_MEMORY_H_
