#ifndef PRETRAINED_MODELING_OFFLOAD_DISPATCH_HOOK_H_
#define PRETRAINED_MODELING_OFFLOAD_DISPATCH_HOOK_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "c10/core/Device.h"
#include "modeling/module.h"
#include "modeling/offload/offloaded_weights.h"
#include "modeling/offload/prefetch.h"

namespace pretrained {

// One offloaded tensor; tied names are one.
struct DispatchedWeight {
  std::string name;  // In the OffloadedWeights, unless `resident` is defined.
  at::Tensor resident;  // On the CPU, of a weight that is copied from there.
  int64_t nbytes = 0;
  at::Device device = at::kCPU;  // Where it is used.
};

// A module whose weights come and go.
struct DispatchedUnit {
  struct Parameter {
    std::string name;  // Within the module: "weight".
    int weight = 0;    // Its number.
  };
  std::vector<Parameter> parameters;
};

// What the hooks of one dispatched model share.
class Dispatch {
 public:
  Dispatch(std::shared_ptr<const OffloadedWeights> offloaded,
           std::vector<DispatchedWeight> weights,
           std::vector<DispatchedUnit> units, int64_t prefetch_bytes);

  const DispatchedUnit& unit(int index) const { return units_[index]; }

  // The tensors of the unit's parameters, in their order; those of the units
  // that come next begin to come in.
  absl::StatusOr<std::vector<at::Tensor>> Begin(int unit);
  void End(int unit);

  // A weight on the CPU, whatever calls do.
  absl::StatusOr<at::Tensor> Read(int weight) const;

  WeightPrefetcher& prefetcher() { return prefetcher_; }

 private:
  absl::StatusOr<FetchedWeight> Fetch(int weight, bool ahead) const;
  void LetGo(int weight) const;
  void PlanAfter(int unit);

  const int64_t id_;  // No other dispatched model of the process has it.
  const std::shared_ptr<const OffloadedWeights> offloaded_;
  const std::vector<DispatchedWeight> weights_;
  const std::vector<DispatchedUnit> units_;
  std::vector<std::vector<int>> weights_of_unit_;
  const int64_t prefetch_bytes_;
  ExecutionOrder order_;
  WeightPrefetcher prefetcher_;  // The last, so that its thread ends first.
};

// Around the forward of one module of a dispatched model.
class DispatchHook : public ModuleHook {
 public:
  // `unit` is the module's number among those of `dispatch`; -1 for one whose
  // weights are all on `device`.
  DispatchHook(std::shared_ptr<Dispatch> dispatch, int unit, at::Device device)
      : dispatch_(std::move(dispatch)), unit_(unit), device_(device) {}

  void PreForward(Module& module,
                  absl::Span<at::Tensor* const> arguments) override;
  void PostForward(Module& module,
                   absl::Span<at::Tensor* const> results) override;
  void AbandonForward(Module& module) override;
  const at::Tensor* FindParameter(const Module& module,
                                  absl::string_view name) const override;
  std::function<absl::StatusOr<at::Tensor>()> ParameterReader(
      const Module& module, absl::string_view name) const override;

 private:
  const std::shared_ptr<Dispatch> dispatch_;
  const int unit_;
  const at::Device device_;
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_OFFLOAD_DISPATCH_HOOK_H_
