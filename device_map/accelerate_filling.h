#ifndef PRETRAINED_DEVICE_MAP_ACCELERATE_FILLING_H_
#define PRETRAINED_DEVICE_MAP_ACCELERATE_FILLING_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "device_map/max_memory.h"
#include "device_map/plan.h"
#include "device_map/sized_tree.h"

namespace pretrained {

// Fills the devices of `max_memory`, and then the disk, exactly as accelerate
// 0.23 does, for maps that are to be the same: its mistakes are made too. So a
// caller must look at the result (ProblemsOfPlan()).
//
// Where it is peculiar:
//   - which tied parameters belong to a module is asked of substrings: module
//     "h.1" is taken to hold "h.10.weight" too,
//   - a module that a tied parameter lies in goes along as a whole,
//   - buffers of a module that is divided are left out,
//   - the disk takes anything, whatever its budget.
// kFailedPrecondition, saying why, where accelerate raises an exception.
// Matches: accelerate 0.23 utils/modeling.py `infer_auto_device_map`.
absl::StatusOr<Filling> FillAsAccelerate(const SizedTree& tree,
                                         const MaxMemory& max_memory);

// The groups of tied parameters that accelerate finds, each sorted by name, in
// the order in which it finds them. It overlooks a name where an earlier one of
// the same tensor is in each module that holds it.
// Matches: accelerate 0.23 utils/modeling.py `find_tied_parameters`.
std::vector<std::vector<int>> TiesThatAccelerateFinds(const SizedTree& tree);

}  // namespace pretrained

#endif  // PRETRAINED_DEVICE_MAP_ACCELERATE_FILLING_H_
