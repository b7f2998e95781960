#ifndef PRETRAINED_MODELING_MODULE_H_
#define PRETRAINED_MODELING_MODULE_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "c10/core/Device.h"
#include "c10/core/ScalarType.h"
#include "device_map/module_tree.h"
#include "torch/nn/module.h"

namespace pretrained {

// Where and as what a module's tensors are made.
struct ModuleOptions {
  at::Device device = at::kMeta;  // Meta: shapes and dtypes, no memory.
  // Of floating parameters and buffers; as the layout says when absent.
  std::optional<at::ScalarType> dtype;
};

class Module;

// What runs around a module's forward: offloading, memory recording, .. The
// tensors are the call's own slots, so a hook may put others in their place.
// PreForward and PostForward report what fails by throwing: StatusError
// (catch_torch.h) for a Status.
class ModuleHook {
 public:
  virtual ~ModuleHook() = default;
  virtual void PreForward(Module& module,
                          absl::Span<at::Tensor* const> arguments) {}
  virtual void PostForward(Module& module,
                           absl::Span<at::Tensor* const> results) {}
  // Takes the place of PostForward where Forward, or a hook after this one,
  // threw. Must not throw.
  virtual void AbandonForward(Module& module) {}

  // What parameter() answers while a call runs, instead of the module's own;
  // null for that. Good until this thread's call of the module ends.
  virtual const at::Tensor* FindParameter(const Module& module,
                                          absl::string_view name) const {
    return nullptr;
  }
  // Reads a parameter whose values this hook keeps elsewhere; null for one that
  // it does not keep. What is returned may outlive the hook.
  virtual std::function<absl::StatusOr<at::Tensor>()> ParameterReader(
      const Module& module, absl::string_view name) const {
    return nullptr;
  }
};

// A torch::nn::Module whose tensors are registered from a layout node, on any
// device (meta included), uninitialised, under the names of the transformers
// state dict.
//
// A tensor is read through its registered slot, parameter("weight"), never
// through a second member, so that ReplaceTensor() is all that loading,
// resizing, pruning and offloading need.
// Lifetime: held by std::shared_ptr, as torch::nn::Module asks for.
// Threads: const use from several threads is safe; changing slots is not.
// Errors: LibTorch's exceptions pass through; PretrainedModel turns them into a
//     Status.
class Module : public torch::nn::Module {
 public:
  Module(const ModuleNode& node, const ModuleOptions& options);

  // As transformers or torch calls the class: "BertSelfAttention".
  const std::string& class_name() const { return class_name_; }

  const at::Tensor& parameter(absl::string_view name) const;
  const at::Tensor& buffer(absl::string_view name) const;
  // Whether there is such a parameter here, not in a child.
  bool has_parameter(absl::string_view name) const;
  // Whether the buffer of that name here, not in a child, is part of the state
  // dict: the layout says which ones are not.
  bool is_persistent(absl::string_view buffer_name) const;

  // Runs around every Call() of this module: PreForward in the order in which
  // hooks were added, PostForward in the reverse.
  void AddHook(std::shared_ptr<ModuleHook> hook);
  void RemoveHooks() { hooks_.clear(); }
  // Takes one away; whether it was there.
  bool RemoveHook(const ModuleHook* hook);
  bool has_hooks() const { return !hooks_.empty(); }
  absl::Span<const std::shared_ptr<ModuleHook>> hooks() const { return hooks_; }
  // Reads the values of a parameter here that is on the meta device because a
  // hook keeps them elsewhere (offloaded); null where none does. What is
  // returned may outlive the module.
  std::function<absl::StatusOr<at::Tensor>()> ParameterReader(
      absl::string_view name) const;
  // Whether hooks run: not around modules that are not called (Container), nor
  // around whole models.
  virtual bool runs_hooks() const { return false; }

  // Fills buffers that are computed, not stored (position ids, ..), on
  // `device`. The default has none.
  virtual void ComputeBuffers(at::Device device) {}

  // Puts `tensor` in the place of the parameter or buffer of that full name
  // below this module, and of all that are tied to it. Keeps requires_grad.
  // kNotFound if there is none. Shape, dtype and device may be others.
  absl::Status ReplaceTensor(absl::string_view name, at::Tensor tensor);
  // Many at once, in one walk.
  absl::Status ReplaceTensors(
      const absl::flat_hash_map<std::string, at::Tensor>& tensors);

  // Makes the parameters of those full names below this module, and whatever is
  // tied to them, one tensor: that of the first. kNotFound, naming it, for a
  // name that does not exist.
  absl::Status TieTensors(const std::vector<std::string>& names);

  // Every module of this library below and including this one, pre-order.
  void ForEachModule(
      absl::FunctionRef<void(const std::string& path, Module& module)> visit);

  // Every tensor, aliases of tied ones included, by full name.
  struct NamedSlot {
    std::string name;
    at::Tensor tensor;
    bool is_buffer = false;
    const Module* owner = nullptr;
  };
  std::vector<NamedSlot> TensorSlots();

 protected:
  // Makes the child of that name from its layout node and registers it.
  template <typename Child, typename... Args>
  std::shared_ptr<Child> AddChild(const ModuleNode& parent,
                                  absl::string_view name,
                                  const ModuleOptions& options,
                                  Args&&... args) {
    auto child = std::make_shared<Child>(parent.child(name), options,
                                         std::forward<Args>(args)...);
    register_module(std::string(name), child);
    return child;
  }

  // Replaces a tensor of this very module.
  void SetOwnTensor(absl::string_view name, at::Tensor tensor);

  // Runs hooks around one call; AbandonForward if it goes before End().
  class HookedCall {
   public:
    explicit HookedCall(Module& module) : module_(module) {}
    HookedCall(const HookedCall&) = delete;
    HookedCall& operator=(const HookedCall&) = delete;
    ~HookedCall();
    void Begin(absl::Span<at::Tensor* const> arguments);
    void End(absl::Span<at::Tensor* const> results);

   private:
    Module& module_;
    size_t begun_ = 0;  // Hooks whose PreForward ran, and no PostForward yet.
  };

 private:
  at::Tensor* Slot(absl::string_view name);

  std::string class_name_;
  absl::flat_hash_set<std::string> non_persistent_buffers_;
  std::vector<std::shared_ptr<ModuleHook>> hooks_;
};

// A module that is called one way: Call(arguments) runs the hooks' PreForward,
// then Forward(), then the hooks' PostForward. `Arguments` and `Result` are
// plain structs that enumerate their tensors:
//
//   template <typename F> void ForEachTensor(F&& visit) { visit(input); .. }
template <typename Arguments, typename Result>
class CallableModule : public Module {
 public:
  using Module::Module;

  Result Call(Arguments arguments) {
    return CallAs(std::move(arguments),
                  [this](const Arguments& given) { return Forward(given); });
  }
  bool runs_hooks() const override { return true; }

 protected:
  // Runs `work`, Result(const Arguments&), in the place of Forward(): for what
  // a module does with its parameters beside that.
  template <typename Work>
  Result CallAs(Arguments arguments, const Work& work) {
    if (!has_hooks()) return work(arguments);
    HookedCall call(*this);
    call.Begin(Collect(arguments));
    Result result = work(arguments);
    call.End(Collect(result));
    return result;
  }

  virtual Result Forward(const Arguments& arguments) = 0;

 private:
  template <typename T>
  static std::vector<at::Tensor*> Collect(T& value) {
    std::vector<at::Tensor*> tensors;
    value.ForEachTensor(
        [&](at::Tensor& tensor) { tensors.push_back(&tensor); });
    return tensors;
  }
};

// The argument, or result, of a module that takes, or makes, one tensor.
struct OneTensor {
  at::Tensor value;

  template <typename F>
  void ForEachTensor(F&& visit) {
    visit(value);
  }
};

// A node whose module holds nothing and computes nothing of its own, such as a
// ModuleList: it gives its children their path.
class Container : public Module {
 public:
  using Module::Module;

  template <typename Child, typename... Args>
  std::shared_ptr<Child> Add(const ModuleNode& node, absl::string_view name,
                             const ModuleOptions& options, Args&&... args) {
    return AddChild<Child>(node, name, options, std::forward<Args>(args)...);
  }
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_MODULE_H_
