#ifndef PRETRAINED_DEVICE_MAP_ORDERED_FILLING_H_
#define PRETRAINED_DEVICE_MAP_ORDERED_FILLING_H_

#include "absl/status/statusor.h"
#include "device_map/max_memory.h"
#include "device_map/plan.h"
#include "device_map/sized_tree.h"

namespace pretrained {

// Fills the devices of `max_memory` one after the other, in the order of the
// model, and then the disk. What results always is a valid plan
// (ProblemsOfPlan() finds nothing):
//   - what comes next goes to the current device together with all that it is
//     tied to, if they fit; if not, the largest module of these that may be
//     divided is, and if there is none the next device's turn has come,
//   - the first GPU and the CPU keep room for the largest layer still to be
//     placed,
//   - every tensor is placed, buffers included.
// kResourceExhausted, saying what is too large and by how much, if even the
// disk has a budget and it is used up.
// Cost: linear in the size of the tree for each device and level of modules.
absl::StatusOr<Filling> FillInOrder(const SizedTree& tree,
                                    const MaxMemory& max_memory);

}  // namespace pretrained

#endif  // PRETRAINED_DEVICE_MAP_ORDERED_FILLING_H_
