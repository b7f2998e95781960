#ifndef PRETRAINED_SYSTEM_AVAILABLE_MEMORY_H_
#define PRETRAINED_SYSTEM_AVAILABLE_MEMORY_H_

#include <cstdint>
#include <optional>
#include <string>

namespace pretrained {

// Bytes of memory that this process may still take without anything being
// swapped out or killed: what /proc/meminfo calls available, or less where a
// control group (v1 or v2) of the process or one above it has a limit; of what
// a group uses, files that are only cached count as free. nullopt where neither
// is told.
//   root  where /proc and /sys are; another one for tests
std::optional<int64_t> AvailableMemory(const std::string& root = "");

}  // namespace pretrained

#endif  // PRETRAINED_SYSTEM_AVAILABLE_MEMORY_H_
