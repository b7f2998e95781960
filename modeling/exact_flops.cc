#include "modeling/exact_flops.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "ATen/record_function.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/log/absl_check.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "c10/core/InferenceMode.h"
#include "c10/core/ScalarType.h"
#include "modeling/catch_torch.h"
#include "modeling/from_pretrained.h"
#include "modeling/meta_kernels.h"
#include "modeling/model_layout.h"
#include "modeling/model_output.h"
#include "modeling/operator_flops.h"
#include "modeling/pretrained_config.h"
#include "modeling/pretrained_model.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

// "aten::add_" as "add": what works in place computes the same.
absl::string_view PlainName(absl::string_view name) {
  absl::ConsumePrefix(&name, "aten::") ||
      absl::ConsumePrefix(&name, "pretrained::");
  if (!absl::EndsWith(name, "__")) absl::ConsumeSuffix(&name, "_");
  return name;
}

}  // namespace

// LibTorch's dispatcher tells of every operator as it begins and ends, with
// what it is called inside: linear() calls addmm(). An operator with a formula
// is counted, and what it calls is not; one without is looked into; one without
// that calls nothing has to be known to compute nothing.
class FlopCounter::Recording {
 public:
  Recording() : outer_(current_) {
    current_ = this;
    if (outer_ != nullptr) return;
    handle_ =
        at::addThreadLocalCallback(at::RecordFunctionCallback(&Begin, &End)
                                       .needsInputs(true)
                                       .scopes({at::RecordScope::FUNCTION}));
  }

  ~Recording() {
    ABSL_DCHECK(current_ == this) << "FlopCounters nest";
    current_ = outer_;
    if (outer_ == nullptr) {
      at::removeCallback(handle_);
      return;
    }
    for (const auto& [name, count] : counts_) {
      OperatorCount& sum = outer_->counts_[name];
      sum.calls += count.calls;
      sum.matmul += count.matmul;
      sum.other += count.other;
    }
    outer_->unknown_.insert(unknown_.begin(), unknown_.end());
  }

  ExactFlops Count() const {
    ExactFlops flops;
    for (const auto& [name, count] : counts_) {
      if (count.matmul + count.other == 0) continue;
      flops.operators.push_back(count);
      flops.operators.back().name = name;
    }
    std::sort(flops.operators.begin(), flops.operators.end(),
              [](const OperatorCount& a, const OperatorCount& b) {
                const int64_t left = a.matmul + a.other;
                const int64_t right = b.matmul + b.other;
                return left != right ? left > right : a.name < b.name;
              });
    flops.unknown.assign(unknown_.begin(), unknown_.end());
    return flops;
  }

 private:
  // An operator that runs.
  struct Frame {
    bool is_counted = false;    // It has a formula, or is inside one that has.
    bool calls_others = false;  // Others began inside.
    bool takes_floating = false;  // Has a floating tensor among its inputs.
  };

  // Threads that LibTorch starts inherit callbacks, but not recordings.
  static std::unique_ptr<at::ObserverContext> Begin(
      const at::RecordFunction& function) {
    if (current_ != nullptr) current_->OnBegin(function);
    return nullptr;
  }

  static void End(const at::RecordFunction& function, at::ObserverContext*) {
    if (current_ != nullptr) current_->OnEnd(function);
  }

  void OnBegin(const at::RecordFunction& function) {
    Frame frame;
    if (!frames_.empty()) {
      frames_.back().calls_others = true;
      frame.is_counted = frames_.back().is_counted;
    }
    if (!frame.is_counted) {
      const absl::string_view name = PlainName(function.name());
      const std::optional<OperatorFlops> flops =
          FlopsOfOperator(name, function.inputs());
      frame.takes_floating = HasFloatingTensor(function.inputs());
      if (flops.has_value()) {
        frame.is_counted = true;
        OperatorCount& count = counts_[name];
        ++count.calls;
        count.matmul += flops->matmul;
        count.other += flops->other;
      }
    }
    frames_.push_back(frame);
  }

  void OnEnd(const at::RecordFunction& function) {
    if (frames_.empty()) return;
    const Frame frame = frames_.back();
    frames_.pop_back();
    if (frame.is_counted || frame.calls_others || !frame.takes_floating) return;
    const absl::string_view name = PlainName(function.name());
    if (!ComputesNothing(name)) unknown_.insert(std::string(name));
  }

  static thread_local Recording* current_;

  Recording* const outer_;
  at::CallbackHandle handle_ = at::INVALID_CALLBACK_HANDLE;
  std::vector<Frame> frames_;
  absl::flat_hash_map<std::string, OperatorCount> counts_;
  absl::btree_set<std::string> unknown_;
};

thread_local FlopCounter::Recording* FlopCounter::Recording::current_ = nullptr;

FlopCounter::FlopCounter() : recording_(std::make_unique<Recording>()) {}

FlopCounter::~FlopCounter() = default;

ExactFlops FlopCounter::Count() const { return recording_->Count(); }

int64_t ExactFlops::matmul() const {
  int64_t sum = 0;
  for (const OperatorCount& count : operators) sum += count.matmul;
  return sum;
}

int64_t ExactFlops::total() const {
  int64_t sum = matmul();
  for (const OperatorCount& count : operators) sum += count.other;
  return sum;
}

absl::StatusOr<ExactFlops> FloatingPointOpsExact(
    PretrainedModel& model, const NamedTensors& inputs,
    const ForwardOptions& options) {
  const std::string what = model.class_name() + ": counting operations";
  return CatchTorch(what, [&]() -> absl::StatusOr<ExactFlops> {
    c10::InferenceMode no_gradients;
    if (model.device().is_meta()) RegisterMetaKernels();
    NamedTensors here;
    for (const auto& [name, tensor] : inputs) {
      here[name] = tensor.defined() ? tensor.to(model.device()) : tensor;
    }
    FlopCounter counter;
    const absl::StatusOr<ModelOutput> output = model.Call(here, options);
    if (!output.ok()) return output.status();
    return counter.Count();
  });
}

absl::StatusOr<ExactFlops> FloatingPointOpsExact(
    const ModelClass& model_class, const PretrainedConfig& config,
    const NamedTensors& inputs, const ForwardOptions& options,
    std::optional<at::ScalarType> dtype) {
  absl::StatusOr<ModelLayout> layout =
      model_class.layout->build(config, nlohmann::ordered_json::object());
  if (!layout.ok()) return layout.status();
  absl::StatusOr<std::shared_ptr<PretrainedModel>> model = CatchTorch(
      layout->class_name + ": making it without memory",
      [&]() -> absl::StatusOr<std::shared_ptr<PretrainedModel>> {
        std::shared_ptr<PretrainedModel> made = model_class.create(
            config, *std::move(layout), {.device = at::kMeta, .dtype = dtype});
        made->PostInit();
        made->eval();
        return made;
      });
  if (!model.ok()) return model.status();
  return FloatingPointOpsExact(**model, inputs, options);
}

}  // namespace pretrained
