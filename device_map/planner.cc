#include "device_map/planner.h"

#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "device_map/accelerate_filling.h"
#include "device_map/balanced_memory.h"
#include "device_map/device.h"
#include "device_map/device_map.h"
#include "device_map/max_memory.h"
#include "device_map/ordered_filling.h"
#include "device_map/plan.h"
#include "device_map/plan_check.h"
#include "device_map/sized_tree.h"

namespace pretrained {
namespace {

// "12.3 MB".
std::string BytesText(double bytes) {
  constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB", "PB"};
  int unit = 0;
  while (std::abs(bytes) >= 999.5 && unit < 5) {
    bytes /= 1000;
    ++unit;
  }
  return absl::StrFormat("%.3g %s", bytes, kUnits[unit]);
}

class Explainer {
 public:
  Explainer(const SizedTree& tree, const Plan& plan)
      : tree_(tree), plan_(plan) {}

  std::string Explain(const PlanStep& step) const {
    switch (step.kind) {
      case PlanStep::Kind::kPlaced:
        return Placed(step);
      case PlanStep::Kind::kSplit:
        return absl::StrCat(DoesNotFit(step), "; '",
                            tree_.item(step.split).name,
                            "' is divided into its parts");
      case PlanStep::Kind::kNextDevice:
        return absl::StrCat(DoesNotFit(step),
                            " and is not to be divided: the next device; ",
                            "it would be on ", step.device.ToString(), " with ",
                            BytesText(Missing(step)), " more there");
    }
    return "";
  }

 private:
  std::string Name(int item) const {
    return absl::StrCat("'", tree_.item(item).name, "'");
  }

  std::string What(const PlanStep& step) const {
    std::string what = Name(step.item);
    if (!step.tied.empty()) {
      absl::StrAppend(&what, " with ",
                      absl::StrJoin(step.tied, ", ",
                                    [&](std::string* out, int item) {
                                      out->append(Name(item));
                                    }),
                      ", which it is tied to");
    }
    return absl::StrCat(what, " (", BytesText(step.bytes), ")");
  }

  double Budget(const PlanStep& step) const {
    return BudgetOf(plan_.max_memory, step.device).value_or(0);
  }

  double Missing(const PlanStep& step) const {
    return step.used_before + step.bytes + step.kept_free - Budget(step);
  }

  std::string Kept(const PlanStep& step) const {
    if (step.kept_free == 0) return "";
    return absl::StrCat(" and ", BytesText(step.kept_free),
                        " kept for the largest layer to come");
  }

  std::string Placed(const PlanStep& step) const {
    std::string text =
        absl::StrCat(What(step), " goes to ", step.device.ToString());
    if (step.device != Device::Disk()) {
      absl::StrAppend(&text, ": ", BytesText(step.used_before), " of ",
                      BytesText(Budget(step)), " used", Kept(step));
    }
    return text;
  }

  std::string DoesNotFit(const PlanStep& step) const {
    return absl::StrCat(What(step), " does not fit ", step.device.ToString(),
                        ": ", BytesText(step.used_before), " of ",
                        BytesText(Budget(step)), " used", Kept(step));
  }

  const SizedTree& tree_;
  const Plan& plan_;
};

}  // namespace

std::optional<PlanStrategy> ParsePlanStrategy(absl::string_view name) {
  if (name == "auto" || name == "balanced") return PlanStrategy::kBalanced;
  if (name == "balanced_low_0") return PlanStrategy::kBalancedLow0;
  if (name == "sequential") return PlanStrategy::kSequential;
  return std::nullopt;
}

absl::StatusOr<Plan> PlanDeviceMap(const SizedTree& tree,
                                   const PlanOptions& options) {
  Plan plan{.max_memory = options.max_memory};
  if (options.strategy != PlanStrategy::kSequential) {
    plan.max_memory = BalanceMemory(
        tree, options.max_memory,
        {.low_zero = options.strategy == PlanStrategy::kBalancedLow0,
         .all_that_is_free = options.all_that_is_free});
  }
  absl::StatusOr<Filling> filling = FillAsAccelerate(tree, plan.max_memory);
  if (filling.ok()) {
    plan.device_map = MapOf(tree, *filling);
    const std::vector<std::string> problems =
        ProblemsOfPlan(tree, plan.device_map, plan.max_memory);
    if (problems.empty()) {
      plan.steps = std::move(filling->steps);
      return plan;
    }
    plan.departs_because = problems.front();
  } else {
    plan.departs_because = filling.status().message();
  }
  filling = FillInOrder(tree, plan.max_memory);
  if (!filling.ok()) {
    // Balance costs room; do without it rather than give up.
    plan.max_memory = options.max_memory;
    filling = FillInOrder(tree, plan.max_memory);
  }
  if (!filling.ok()) return filling.status();
  plan.device_map = MapOf(tree, *filling);
  plan.steps = std::move(filling->steps);
  return plan;
}

std::vector<std::string> ExplainPlan(const SizedTree& tree, const Plan& plan) {
  std::vector<std::string> lines;
  if (!plan.departs_because.empty()) {
    lines.push_back(absl::StrCat("accelerate's own map would not do: ",
                                 plan.departs_because));
  }
  const Explainer explainer(tree, plan);
  for (const PlanStep& step : plan.steps) {
    lines.push_back(explainer.Explain(step));
  }
  return lines;
}

}  // namespace pretrained
