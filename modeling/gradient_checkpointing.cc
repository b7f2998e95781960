#include "modeling/gradient_checkpointing.h"

#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ATen/Context.h"
#include "ATen/core/Generator.h"
#include "ATen/core/grad_mode.h"
#include "ATen/core/ivalue.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/log/absl_log.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "c10/core/Device.h"
#include "torch/csrc/autograd/autograd.h"
#include "torch/csrc/autograd/custom_function.h"

namespace pretrained {
namespace {

using Tensors = std::vector<at::Tensor>;

// Where LibTorch's default generators stand: the CPU's and those of devices.
class RandomStates {
 public:
  static RandomStates Now(const Tensors& tensors) {
    RandomStates states;
    states.Note(at::kCPU);
    for (const at::Tensor& tensor : tensors) {
      if (tensor.device().is_cuda()) states.Note(tensor.device());
    }
    return states;
  }

  // The same generators as they stand now.
  RandomStates Present() const {
    RandomStates states;
    for (const auto& [device, state] : states_) states.Note(device);
    return states;
  }

  void Restore() const {
    for (const auto& [device, state] : states_) {
      at::Generator generator = at::globalContext().defaultGenerator(device);
      const std::lock_guard<std::mutex> lock(generator.mutex());
      generator.set_state(state);
    }
  }

 private:
  void Note(at::Device device) {
    for (const auto& [noted, state] : states_) {
      if (noted == device) return;
    }
    at::Generator generator = at::globalContext().defaultGenerator(device);
    const std::lock_guard<std::mutex> lock(generator.mutex());
    states_.emplace_back(device, generator.get_state());
  }

  std::vector<std::pair<at::Device, at::Tensor>> states_;
};

// Puts generators back where they stood before, and again at its end.
class ScopedRandomStates {
 public:
  explicit ScopedRandomStates(const RandomStates& states)
      : present_(states.Present()) {
    states.Restore();
  }
  ~ScopedRandomStates() { present_.Restore(); }
  ScopedRandomStates(const ScopedRandomStates&) = delete;
  ScopedRandomStates& operator=(const ScopedRandomStates&) = delete;

 private:
  const RandomStates present_;
};

// The parameters that want gradients, in torch's order, each once.
Tensors TrainedParameters(const torch::nn::Module& block) {
  Tensors trained;
  absl::flat_hash_set<const c10::TensorImpl*> seen;
  for (const at::Tensor& parameter : block.parameters()) {
    if (parameter.requires_grad() &&
        seen.insert(parameter.unsafeGetTensorImpl()).second) {
      trained.push_back(parameter);
    }
  }
  return trained;
}

// What is kept of one run, beside its tensors.
struct Run : torch::CustomClassHolder {
  std::shared_ptr<const torch::nn::Module> block;
  TensorFunction again;
  std::vector<bool> is_defined;  // One entry an argument.
  size_t num_arguments = 0;      // Of those that are.
  size_t num_results = 0;
  std::vector<size_t> tracked;  // Results that have gradients, by index.
  RandomStates random;
};

// The autograd node's inputs are the arguments that are defined, then the
// block's parameters: so gradients flow on to both, and nothing is accumulated
// behind the engine's back.
class CheckpointFunction
    : public torch::autograd::Function<CheckpointFunction> {
 public:
  // Of forward(), beside `inputs`; they get no gradient.
  static constexpr size_t kOtherInputs = 2;

  static Tensors forward(torch::autograd::AutogradContext* context,
                         at::TensorList inputs,
                         const c10::intrusive_ptr<Run>& run,
                         absl::FunctionRef<Tensors(Run& run)> compute) {
    Tensors tracked = compute(*run);
    context->set_materialize_grads(false);
    context->save_for_backward(inputs.vec());
    context->saved_data["run"] = c10::IValue::make_capsule(run);
    return tracked;
  }

  static Tensors backward(torch::autograd::AutogradContext* context,
                          const Tensors& gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(),
                "a block that checkpoints its gradients has no second "
                "derivatives; call backward() without create_graph, or disable "
                "gradient checkpointing");
    const c10::intrusive_ptr<torch::CustomClassHolder> capsule =
        context->saved_data["run"].toCapsule();
    const Run& run = static_cast<const Run&>(*capsule);
    Tensors inputs = Detached(context->get_saved_variables(), run);
    const Tensors results = Recompute(run, inputs);
    Tensors roots;
    Tensors root_gradients;
    for (size_t i = 0; i < run.tracked.size(); ++i) {
      const at::Tensor& root = results[run.tracked[i]];
      if (!gradients[i].defined() || !root.requires_grad()) continue;
      roots.push_back(root);
      root_gradients.push_back(gradients[i]);
    }
    return GradientsOf(roots, root_gradients, inputs);
  }

 private:
  // The arguments cut off from what made them, so that the engine stops there;
  // the parameters as they are.
  static Tensors Detached(Tensors saved, const Run& run) {
    for (size_t i = 0; i < run.num_arguments; ++i) {
      const bool requires_grad = saved[i].requires_grad();
      saved[i] = saved[i].detach();
      if (requires_grad) saved[i].set_requires_grad(true);
    }
    return saved;
  }

  static Tensors Recompute(const Run& run, const Tensors& inputs) {
    TORCH_CHECK(run.block->is_training(),
                "a block that checkpoints its gradients was put in eval mode "
                "between forward and backward(); keep it in training mode");
    const Tensors now = TrainedParameters(*run.block);
    bool same = run.num_arguments + now.size() == inputs.size();
    for (size_t i = 0; same && i < now.size(); ++i) {
      same = now[i].is_same(inputs[run.num_arguments + i]);
    }
    TORCH_CHECK(same,
                "parameters of a block that checkpoints its gradients were "
                "replaced, frozen or unfrozen between forward and backward()");
    Tensors arguments(run.is_defined.size());
    size_t next = 0;
    for (size_t i = 0; i < arguments.size(); ++i) {
      if (run.is_defined[i]) arguments[i] = inputs[next++];
    }
    const ScopedRandomStates random(run.random);
    const at::AutoGradMode with_gradients(true);
    Tensors results = run.again(arguments);
    TORCH_CHECK(results.size() == run.num_results,
                "a block that checkpoints its gradients had ", run.num_results,
                " results, but has ", results.size(), " the second time");
    return results;
  }

  // One entry for each input of forward(); undefined for no gradient.
  static Tensors GradientsOf(const Tensors& roots,
                             const Tensors& root_gradients,
                             const Tensors& inputs) {
    Tensors gradients(inputs.size() + kOtherInputs);
    Tensors wanted;
    std::vector<size_t> index_of;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (!inputs[i].requires_grad()) continue;
      wanted.push_back(inputs[i]);
      index_of.push_back(i);
    }
    if (roots.empty() || wanted.empty()) return gradients;
    const Tensors found = torch::autograd::grad(
        roots, wanted, root_gradients, /*retain_graph=*/std::nullopt,
        /*create_graph=*/false, /*allow_unused=*/true);
    for (size_t i = 0; i < found.size(); ++i) gradients[index_of[i]] = found[i];
    return gradients;
  }
};

void CheckNotOffloaded(const Tensors& parameters) {
  for (const at::Tensor& parameter : parameters) {
    TORCH_CHECK(!parameter.is_meta(),
                "a block whose weights are offloaded cannot checkpoint its "
                "gradients: their values are not there when gradients come; "
                "disable gradient checkpointing, or load the model whole");
  }
}

}  // namespace

std::vector<at::Tensor> RunCheckpointed(
    std::shared_ptr<const torch::nn::Module> block,
    const std::vector<at::Tensor>& arguments,
    absl::FunctionRef<std::vector<at::Tensor>(const std::vector<at::Tensor>&)>
        first,
    TensorFunction again) {
  auto run = c10::make_intrusive<Run>();
  Tensors inputs;
  absl::flat_hash_set<const c10::TensorImpl*> argument_set;
  for (const at::Tensor& argument : arguments) {
    run->is_defined.push_back(argument.defined());
    if (!argument.defined()) continue;
    inputs.push_back(argument);
    argument_set.insert(argument.unsafeGetTensorImpl());
  }
  run->num_arguments = inputs.size();
  const Tensors parameters = TrainedParameters(*block);
  CheckNotOffloaded(parameters);
  inputs.insert(inputs.end(), parameters.begin(), parameters.end());
  run->block = std::move(block);
  run->again = std::move(again);
  run->random = RandomStates::Now(inputs);

  Tensors results;
  const auto compute = [&](Run& run) {
    results = first(arguments);
    run.num_results = results.size();
    Tensors tracked;
    absl::flat_hash_set<const c10::TensorImpl*> seen = argument_set;
    for (size_t i = 0; i < results.size(); ++i) {
      if (!results[i].defined() ||
          !torch::autograd::isDifferentiableType(results[i].scalar_type()) ||
          !seen.insert(results[i].unsafeGetTensorImpl()).second) {
        continue;
      }
      run.tracked.push_back(i);
      tracked.push_back(results[i]);
    }
    return tracked;
  };
  const Tensors tracked =
      CheckpointFunction::apply(at::TensorList(inputs), run,
                                absl::FunctionRef<Tensors(Run & run)>(compute));
  absl::flat_hash_map<const c10::TensorImpl*, at::Tensor> tracked_as;
  for (size_t i = 0; i < tracked.size(); ++i) {
    tracked_as[results[run->tracked[i]].unsafeGetTensorImpl()] = tracked[i];
  }
  for (at::Tensor& result : results) {
    if (!result.defined()) continue;
    auto found = tracked_as.find(result.unsafeGetTensorImpl());
    if (found != tracked_as.end()) result = found->second;
  }
  return results;
}

bool MayUseCache(bool asked, bool is_training,
                 const GradientCheckpointing* block) {
  if (!asked || !is_training || !block->checkpoints_gradients()) return asked;
  ABSL_LOG_FIRST_N(WARNING, 1)
      << "use_cache does not go with gradient checkpointing while a model "
         "trains; it is off";
  return false;
}

namespace {

template <typename Visit>
void ForEachBlock(Module& model, Visit visit) {
  model.ForEachModule([&](const std::string&, Module& module) {
    if (auto* block = dynamic_cast<GradientCheckpointing*>(&module)) {
      visit(*block);
    }
  });
}

}  // namespace

bool SupportsGradientCheckpointing(Module& model) {
  bool supports = false;
  ForEachBlock(model, [&](GradientCheckpointing&) { supports = true; });
  return supports;
}

bool IsGradientCheckpointing(Module& model) {
  bool is = false;
  ForEachBlock(model, [&](GradientCheckpointing& block) {
    is = is || block.checkpoints_gradients();
  });
  return is;
}

absl::Status EnableGradientCheckpointing(Module& model) {
  if (!SupportsGradientCheckpointing(model)) {
    return absl::UnimplementedError(
        absl::StrCat(model.class_name(),
                     " does not support gradient checkpointing: it has "
                     "no block that could be computed again"));
  }
  ForEachBlock(model, [](GradientCheckpointing& block) {
    block.set_checkpoints_gradients(true);
  });
  return absl::OkStatus();
}

void DisableGradientCheckpointing(Module& model) {
  ForEachBlock(model, [](GradientCheckpointing& block) {
    block.set_checkpoints_gradients(false);
  });
}

}  // namespace pretrained
