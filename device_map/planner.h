#ifndef PRETRAINED_DEVICE_MAP_PLANNER_H_
#define PRETRAINED_DEVICE_MAP_PLANNER_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "device_map/max_memory.h"
#include "device_map/plan.h"
#include "device_map/sized_tree.h"

namespace pretrained {

// How a model is shared out among devices.
enum class PlanStrategy {
  kBalanced,      // GPUs get about equal shares; "auto" too.
  kBalancedLow0,  // Likewise, with as little as possible on GPU 0.
  kSequential,    // Each device is filled before the next is begun.
};

// "auto", "balanced", "balanced_low_0" or "sequential"; nullopt for any other
// text: a map (ParseDeviceMap()).
std::optional<PlanStrategy> ParsePlanStrategy(absl::string_view name);

struct PlanOptions {
  PlanStrategy strategy = PlanStrategy::kBalanced;
  MaxMemory max_memory;
  // Whether max_memory is all that this machine has free (FreeMemory()), rather
  // than what somebody allowed.
  bool all_that_is_free = false;
};

// Where each module of a model goes: GPUs first, in order of their numbers,
// then the CPU, then the disk, which takes the rest.
//
//   absl::StatusOr<MaxMemory> budgets =
//       ParseMaxMemory(R"({"0": "10GiB", "cpu": "30GiB"})");
//   absl::StatusOr<Plan> plan =
//       PlanDeviceMap(tree, {.max_memory = *budgets});
//   plan->device_map;  // {{"model.embed_tokens", 0}, .., {"lm_head", "cpu"}}
//
// What has a no-split class stays on one device, and so do tied parameters. The
// first GPU and the CPU keep room for the largest layer that is still to be
// placed, so that an offloaded one can be brought in.
//
// The map is the one that accelerate computes if that is valid, entry by entry;
// else one that is (Plan::departs_because says what was wrong).
// kResourceExhausted if the disk has a budget and the model is larger than all.
// Cost: linear in the size of the model for each device.
// Threads: pure; it asks nothing of the machine.
// Matches: accelerate 0.23 utils/modeling.py `infer_auto_device_map`,
//     `get_balanced_memory`.
// Differs: README.md lists where, and why.
absl::StatusOr<Plan> PlanDeviceMap(const SizedTree& tree,
                                   const PlanOptions& options);

// Why each module went where it did, in a line each: what was placed where,
// what did not fit and how much was free, and what would be there with how much
// more of a budget.
std::vector<std::string> ExplainPlan(const SizedTree& tree, const Plan& plan);

}  // namespace pretrained

#endif  // PRETRAINED_DEVICE_MAP_PLANNER_H_
