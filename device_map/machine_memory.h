#ifndef PRETRAINED_DEVICE_MAP_MACHINE_MEMORY_H_
#define PRETRAINED_DEVICE_MAP_MACHINE_MEMORY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "device_map/device.h"
#include "device_map/max_memory.h"

namespace pretrained {

// What this machine has free: all of it, budgets of plans that were given none.
//
// GPUs are asked through NVML, the driver's own library, where there is one: no
// CUDA context is made, so that it costs no GPU memory. CUDA_VISIBLE_DEVICES
// chooses and numbers them as CUDA does, for lists of numbers and of UUIDs; of
// a GPU cut up into instances (MIG) nothing is listed. The CPU has what
// AvailableMemory() of system/ says. kUnavailable where /proc says nothing.
// Matches: accelerate 0.23 utils/modeling.py `get_max_memory`.
// Differs: limits of cgroups are kept; there memory counts that a container may
//     not use. Only NVIDIA's GPUs are known.
absl::StatusOr<MaxMemory> FreeMemory();

// The GPUs of FreeMemory() alone; none where there is no driver.
std::vector<Device> GpusHere();

// CUDA's numbering of `uuids`, those of all GPUs in the driver's order: the
// driver's number of each GPU that is visible. `visible` is the value of
// CUDA_VISIBLE_DEVICES, nullopt if it is not set.
std::vector<int> VisibleGpus(const std::vector<std::string>& uuids,
                             std::optional<absl::string_view> visible);

}  // namespace pretrained

#endif  // PRETRAINED_DEVICE_MAP_MACHINE_MEMORY_H_
