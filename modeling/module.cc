#include "modeling/module.h"

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "ATen/ops/empty.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/log/absl_check.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "device_map/module_tree.h"
#include "modeling/tensor_bridge.h"

namespace pretrained {
namespace {

using TensorTable = torch::OrderedDict<std::string, at::Tensor>;

// torch::nn::Module keeps its buffers private and cannot put another tensor in
// the place of one: register_buffer() refuses a second time, and set_data()
// refuses to go from meta to CPU. An explicit instantiation may name a private
// member, so it hands out the table; parameters and buffers can then be treated
// alike, and torch's own named_buffers() and to() see what we put there.
TensorTable& BuffersOf(torch::nn::Module& module);

template <TensorTable torch::nn::Module::*kMember>
struct BufferTableAccess {
  friend TensorTable& BuffersOf(torch::nn::Module& module) {
    return module.*kMember;
  }
};
template struct BufferTableAccess<&torch::nn::Module::buffers_>;

at::Tensor Make(const TensorSpec& spec, const ModuleOptions& options) {
  at::ScalarType type = ToScalarType(spec.dtype);
  if (IsFloatingPoint(spec.dtype) && options.dtype.has_value()) {
    type = *options.dtype;
  }
  return at::empty(spec.shape, at::dtype(type).device(options.device));
}

}  // namespace

Module::Module(const ModuleNode& node, const ModuleOptions& options)
    : torch::nn::Module(node.class_name), class_name_(node.class_name) {
  for (const TensorSpec& spec : node.parameters) {
    register_parameter(spec.name, Make(spec, options),
                       /*requires_grad=*/IsFloatingPoint(spec.dtype));
  }
  for (const TensorSpec& spec : node.buffers) {
    register_buffer(spec.name, Make(spec, options));
    if (!spec.persistent) non_persistent_buffers_.insert(spec.name);
  }
}

const at::Tensor& Module::parameter(absl::string_view name) const {
  for (const auto& hook : hooks_) {
    if (const at::Tensor* found = hook->FindParameter(*this, name)) {
      return *found;
    }
  }
  const at::Tensor* found = parameters_.find(std::string(name));
  ABSL_CHECK(found != nullptr) << class_name_ << " has no parameter " << name;
  return *found;
}

const at::Tensor& Module::buffer(absl::string_view name) const {
  // Only the access path needs a module that is not const.
  const at::Tensor* found =
      BuffersOf(const_cast<Module&>(*this)).find(std::string(name));
  ABSL_CHECK(found != nullptr) << class_name_ << " has no buffer " << name;
  return *found;
}

bool Module::has_parameter(absl::string_view name) const {
  return parameters_.contains(std::string(name));
}

bool Module::is_persistent(absl::string_view buffer_name) const {
  return !non_persistent_buffers_.contains(buffer_name);
}

at::Tensor* Module::Slot(absl::string_view name) {
  const std::string key(name);
  if (at::Tensor* slot = parameters_.find(key)) return slot;
  return BuffersOf(*this).find(key);
}

void Module::SetOwnTensor(absl::string_view name, at::Tensor tensor) {
  at::Tensor* slot = Slot(name);
  ABSL_CHECK(slot != nullptr) << class_name_ << " has no tensor " << name;
  const bool requires_grad = slot->requires_grad();
  if (!tensor.is_leaf()) tensor = tensor.detach();
  if (at::isFloatingType(tensor.scalar_type())) {
    tensor.set_requires_grad(requires_grad);
  }
  *slot = std::move(tensor);
}

void Module::AddHook(std::shared_ptr<ModuleHook> hook) {
  hooks_.push_back(std::move(hook));
}

bool Module::RemoveHook(const ModuleHook* hook) {
  return std::erase_if(hooks_, [&](const auto& other) {
           return other.get() == hook;
         }) > 0;
}

std::function<absl::StatusOr<at::Tensor>()> Module::ParameterReader(
    absl::string_view name) const {
  for (const auto& hook : hooks_) {
    if (auto read = hook->ParameterReader(*this, name)) return read;
  }
  return nullptr;
}

void Module::HookedCall::Begin(absl::Span<at::Tensor* const> arguments) {
  for (const auto& hook : module_.hooks_) {
    hook->PreForward(module_, arguments);
    ++begun_;
  }
}

void Module::HookedCall::End(absl::Span<at::Tensor* const> results) {
  while (begun_ > 0) {
    --begun_;
    module_.hooks_[begun_]->PostForward(module_, results);
  }
}

Module::HookedCall::~HookedCall() {
  while (begun_ > 0) module_.hooks_[--begun_]->AbandonForward(module_);
}

void Module::ForEachModule(
    absl::FunctionRef<void(const std::string&, Module&)> visit) {
  for (const auto& entry :
       named_modules(/*name_prefix=*/"", /*include_self=*/true)) {
    if (auto* module = dynamic_cast<Module*>(entry.value().get())) {
      visit(entry.key(), *module);
    }
  }
}

std::vector<Module::NamedSlot> Module::TensorSlots() {
  std::vector<NamedSlot> slots;
  ForEachModule([&](const std::string& path, Module& module) {
    for (const auto& entry : module.parameters_) {
      slots.push_back(
          {JoinPath(path, entry.key()), entry.value(), false, &module});
    }
    for (const auto& entry : BuffersOf(module)) {
      slots.push_back(
          {JoinPath(path, entry.key()), entry.value(), true, &module});
    }
  });
  return slots;
}

absl::Status Module::ReplaceTensor(absl::string_view name, at::Tensor tensor) {
  return ReplaceTensors({{std::string(name), std::move(tensor)}});
}

absl::Status Module::ReplaceTensors(
    const absl::flat_hash_map<std::string, at::Tensor>& tensors) {
  // Tied slots share one tensor object, so the old object says who follows.
  absl::flat_hash_map<c10::TensorImpl*, at::Tensor> replacement_of;
  size_t found = 0;
  const std::vector<NamedSlot> slots = TensorSlots();
  for (const NamedSlot& slot : slots) {
    auto replacement = tensors.find(slot.name);
    if (replacement == tensors.end()) continue;
    ++found;
    replacement_of[slot.tensor.unsafeGetTensorImpl()] = replacement->second;
  }
  if (found < tensors.size()) {
    for (const auto& [name, unused] : tensors) {
      const bool known =
          std::any_of(slots.begin(), slots.end(),
                      [&](const NamedSlot& slot) { return slot.name == name; });
      if (!known) {
        return absl::NotFoundError(absl::StrCat(
            class_name_, " has no parameter or buffer '", name, "'"));
      }
    }
  }
  ForEachModule([&](const std::string&, Module& module) {
    for (auto* table : {&module.parameters_, &BuffersOf(module)}) {
      for (const std::string& key : table->keys()) {
        auto replacement =
            replacement_of.find(table->find(key)->unsafeGetTensorImpl());
        if (replacement != replacement_of.end()) {
          module.SetOwnTensor(key, replacement->second);
        }
      }
    }
  });
  return absl::OkStatus();
}

absl::Status Module::TieTensors(const std::vector<std::string>& names) {
  const absl::flat_hash_set<absl::string_view> wanted(names.begin(),
                                                      names.end());
  absl::flat_hash_map<std::string, at::Tensor> found;
  for (NamedSlot& slot : TensorSlots()) {
    if (!slot.is_buffer && wanted.contains(slot.name)) {
      found.emplace(std::move(slot.name), std::move(slot.tensor));
    }
  }
  absl::flat_hash_set<const c10::TensorImpl*> joined;
  for (const std::string& name : names) {
    auto slot = found.find(name);
    if (slot == found.end()) {
      return absl::NotFoundError(
          absl::StrCat(class_name_, " has no parameter '", name, "' to tie"));
    }
    joined.insert(slot->second.unsafeGetTensorImpl());
  }
  if (joined.size() < 2) return absl::OkStatus();
  const at::Tensor shared = found.at(names[0]);
  ForEachModule([&](const std::string&, Module& module) {
    for (const std::string& key : module.parameters_.keys()) {
      at::Tensor* slot = module.parameters_.find(key);
      if (joined.contains(slot->unsafeGetTensorImpl())) *slot = shared;
    }
  });
  return absl::OkStatus();
}

}  // namespace pretrained
