#ifndef PRETRAINED_CHECKPOINT_ALLOCATION_COUNTER_H_
#define PRETRAINED_CHECKPOINT_ALLOCATION_COUNTER_H_

#include <cstdint>

namespace pretrained {
namespace checkpoint_testing {

// Bytes that operator new has been asked for since the program started; nothing
// is subtracted. Linking this replaces operator new, and so a test that does is
// a program of its own.
int64_t AllocatedBytes();

}  // namespace checkpoint_testing
}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_ALLOCATION_COUNTER_H_
