#ifndef PRETRAINED_CHECKPOINT_LOADING_AVAILABLE_MEMORY_H_
#define PRETRAINED_CHECKPOINT_LOADING_AVAILABLE_MEMORY_H_

#include <cstdint>
#include <string>

namespace pretrained {

// Bytes of memory that this process may still take without anything being
// swapped out or killed: what the machine has available, or what the process's
// control groups leave, whichever is less. INT64_MAX where neither is told.
//   root  where /proc and /sys are; another one for tests
int64_t AvailableMemory(const std::string& root = "");

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_LOADING_AVAILABLE_MEMORY_H_
