#ifndef PRETRAINED_DEVICE_MAP_BALANCED_MEMORY_H_
#define PRETRAINED_DEVICE_MAP_BALANCED_MEMORY_H_

#include "device_map/max_memory.h"
#include "device_map/sized_tree.h"

namespace pretrained {

struct BalanceOptions {
  // Leaves as little as possible on GPU 0, for it has other things to hold.
  bool low_zero = false;
  // Whether the budgets are all that the machine has free, rather than what
  // somebody allowed: a lone GPU then keeps a tenth of it for activations.
  bool all_that_is_free = false;
};

// `max_memory` with the budgets of its GPUs lowered to about equal shares of
// the model, plus what one more layer takes; the last GPU keeps its own. A GPU
// with a budget of 0 has no share.
// Matches: accelerate 0.23 utils/modeling.py `get_balanced_memory`.
// Differs: `low_zero` where GPU 0 has no budget, or one of 0, is plain balance;
//     there it is a KeyError, or gives all to the next GPU. Numbers may have
//     gaps, and the disk a budget; there these are exceptions.
MaxMemory BalanceMemory(const SizedTree& tree, const MaxMemory& max_memory,
                        const BalanceOptions& options);

}  // namespace pretrained

#endif  // PRETRAINED_DEVICE_MAP_BALANCED_MEMORY_H_
