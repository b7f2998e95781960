#include "modeling/offload/dispatch_hook.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "ATen/core/grad_mode.h"
#include "absl/algorithm/container.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "c10/core/Device.h"
#include "c10/core/Event.h"
#include "c10/core/StreamGuard.h"
#include "c10/core/impl/VirtualGuardImpl.h"
#include "modeling/catch_torch.h"
#include "modeling/module.h"
#include "modeling/offload/offloaded_weights.h"
#include "modeling/offload/prefetch.h"

namespace pretrained {
namespace {

// Units to look ahead at most: more than a transformer's block has.
constexpr int kUnitsAhead = 32;

// A hooked module whose forward this thread is in.
struct Frame {
  const DispatchHook* hook = nullptr;
  bool gradients_were_on = false;
  std::vector<at::Tensor> tensors;  // Of the unit's parameters.
};
thread_local std::vector<Frame> frames;

// The unit that this thread ran last, and whose it was.
struct LastUnit {
  int64_t dispatch = 0;  // Its id.
  int unit = 0;
};
thread_local LastUnit last_unit;

int64_t NewId() {
  static std::atomic<int64_t> last = 0;
  return ++last;
}

// Reads a byte of each page, so that the pages of a mapped tensor are here when
// it is computed with.
void TouchPages(const at::Tensor& tensor) {
  constexpr size_t kPageBytes = 4096;
  const auto* bytes =
      static_cast<const volatile char*>(tensor.const_data_ptr());
  for (size_t i = 0; i < tensor.nbytes(); i += kPageBytes) (void)bytes[i];
}

// Copies to another device on a stream beside the one that computes.
FetchedWeight CopyAside(const at::Tensor& tensor, at::Device device) {
  const c10::impl::VirtualGuardImpl devices(device.type());
  const c10::Stream side = devices.getStreamFromGlobalPool(device);
  auto event = std::make_shared<c10::Event>(device.type());
  FetchedWeight copied;
  {
    const c10::StreamGuard guard(side);
    copied.tensor = tensor.pin_memory().to(device, /*non_blocking=*/true);
    event->record(side);
  }
  copied.wait = [event, device, copy = copied.tensor] {
    const c10::impl::VirtualGuardImpl here(device.type());
    const c10::Stream computes = here.getStream(device);
    event->block(computes);
    // Its memory is not given to others before this stream is through with it.
    here.recordDataPtrOnStream(copy.storage().data_ptr(), computes);
  };
  return copied;
}

absl::Status CheckNoGradients(const Module& module,
                              absl::Span<at::Tensor* const> arguments) {
  constexpr char kAdvice[] =
      "; use at::NoGradGuard to run it, or RemoveHooks() to train it in memory";
  if (module.is_training()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the model is in training mode, but a dispatched model gives no "
        "gradients",
        kAdvice));
  }
  for (const at::Tensor* tensor : arguments) {
    if (!tensor->defined() || !tensor->requires_grad()) continue;
    return absl::FailedPreconditionError(absl::StrCat(
        "an input requires a gradient, but a dispatched model gives none",
        kAdvice));
  }
  return absl::OkStatus();
}

// Ends the innermost frame, which is `hook`'s.
void PopFrame() {
  at::GradMode::set_enabled(frames.back().gradients_were_on);
  frames.pop_back();
}

}  // namespace

Dispatch::Dispatch(std::shared_ptr<const OffloadedWeights> offloaded,
                   std::vector<DispatchedWeight> weights,
                   std::vector<DispatchedUnit> units, int64_t prefetch_bytes)
    : id_(NewId()),
      offloaded_(std::move(offloaded)),
      weights_(std::move(weights)),
      units_(std::move(units)),
      prefetch_bytes_(prefetch_bytes),
      order_(static_cast<int>(units_.size())),
      prefetcher_(
          [&] {
            std::vector<int64_t> nbytes;
            for (const auto& weight : weights_) nbytes.push_back(weight.nbytes);
            return nbytes;
          }(),
          [this](int weight, bool ahead) { return Fetch(weight, ahead); },
          [this](int weight) { LetGo(weight); }, prefetch_bytes) {
  for (const DispatchedUnit& unit : units_) {
    std::vector<int>& numbers = weights_of_unit_.emplace_back();
    for (const auto& parameter : unit.parameters) {
      numbers.push_back(parameter.weight);
    }
  }
}

absl::StatusOr<at::Tensor> Dispatch::Read(int index) const {
  const DispatchedWeight& weight = weights_[index];
  if (weight.resident.defined()) return weight.resident;
  absl::StatusOr<at::Tensor> tensor = offloaded_->Get(weight.name);
  if (tensor.ok()) return tensor;
  return absl::Status(tensor.status().code(),
                      absl::StrCat("offloaded weight '", weight.name,
                                   "': ", tensor.status().message()));
}

absl::StatusOr<FetchedWeight> Dispatch::Fetch(int index, bool ahead) const {
  const DispatchedWeight& weight = weights_[index];
  return CatchTorch(absl::StrCat("bringing in '", weight.name, "'"),
                    [&]() -> absl::StatusOr<FetchedWeight> {
                      if (ahead && !weight.resident.defined()) {
                        offloaded_->Prefetch(weight.name);
                      }
                      absl::StatusOr<at::Tensor> tensor = Read(index);
                      if (!tensor.ok()) return tensor.status();
                      if (!weight.device.is_cpu())
                        return CopyAside(*tensor, weight.device);
                      if (ahead) TouchPages(*tensor);
                      return FetchedWeight{.tensor = *std::move(tensor)};
                    });
}

void Dispatch::LetGo(int index) const {
  const DispatchedWeight& weight = weights_[index];
  if (!weight.resident.defined()) offloaded_->Release(weight.name);
}

void Dispatch::PlanAfter(int unit) {
  if (prefetch_bytes_ <= 0) return;
  std::vector<int> upcoming;
  for (int next : order_.Upcoming(unit, kUnitsAhead)) {
    for (int weight : weights_of_unit_[next]) {
      if (!absl::c_linear_search(upcoming, weight)) upcoming.push_back(weight);
    }
  }
  prefetcher_.Plan(upcoming);
}

absl::StatusOr<std::vector<at::Tensor>> Dispatch::Begin(int unit) {
  if (last_unit.dispatch == id_) order_.Learn(last_unit.unit, unit);
  last_unit = {.dispatch = id_, .unit = unit};
  absl::StatusOr<std::vector<at::Tensor>> tensors =
      prefetcher_.Acquire(weights_of_unit_[unit]);
  if (tensors.ok()) PlanAfter(unit);
  return tensors;
}

void Dispatch::End(int unit) { prefetcher_.Release(weights_of_unit_[unit]); }

void DispatchHook::PreForward(Module& module,
                              absl::Span<at::Tensor* const> arguments) {
  Frame frame{.hook = this, .gradients_were_on = at::GradMode::is_enabled()};
  if (frame.gradients_were_on) {
    absl::Status status = CheckNoGradients(module, arguments);
    if (!status.ok()) throw StatusError(std::move(status));
  }
  for (at::Tensor* tensor : arguments) {
    if (tensor->defined() && tensor->device() != device_) {
      *tensor = tensor->to(device_);
    }
  }
  if (unit_ >= 0) {
    absl::StatusOr<std::vector<at::Tensor>> tensors = dispatch_->Begin(unit_);
    if (!tensors.ok()) throw StatusError(tensors.status());
    frame.tensors = *std::move(tensors);
  }
  at::GradMode::set_enabled(false);
  frames.push_back(std::move(frame));
}

void DispatchHook::PostForward(Module& module,
                               absl::Span<at::Tensor* const> results) {
  AbandonForward(module);
}

void DispatchHook::AbandonForward(Module& module) {
  PopFrame();
  if (unit_ >= 0) dispatch_->End(unit_);
}

const at::Tensor* DispatchHook::FindParameter(const Module& module,
                                              absl::string_view name) const {
  if (unit_ < 0) return nullptr;
  for (auto frame = frames.rbegin(); frame != frames.rend(); ++frame) {
    if (frame->hook != this) continue;
    const auto& parameters = dispatch_->unit(unit_).parameters;
    for (size_t i = 0; i < parameters.size(); ++i) {
      if (parameters[i].name == name) return &frame->tensors[i];
    }
    return nullptr;
  }
  return nullptr;
}

std::function<absl::StatusOr<at::Tensor>()> DispatchHook::ParameterReader(
    const Module& module, absl::string_view name) const {
  if (unit_ < 0) return nullptr;
  for (const auto& parameter : dispatch_->unit(unit_).parameters) {
    if (parameter.name != name) continue;
    return [dispatch = dispatch_, weight = parameter.weight] {
      return dispatch->Read(weight);
    };
  }
  return nullptr;
}

}  // namespace pretrained
