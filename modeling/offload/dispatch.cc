#include "modeling/offload/dispatch.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "ATen/ops/empty.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "c10/core/Device.h"
#include "c10/core/ScalarType.h"
#include "device_map/module_tree.h"
#include "modeling/catch_torch.h"
#include "modeling/device_map_option.h"
#include "modeling/module.h"
#include "modeling/offload/dispatch_hook.h"
#include "modeling/offload/offloaded_weights.h"
#include "modeling/pretrained_model.h"

namespace pretrained {
namespace {

// Where the map puts a module; nullopt for the disk.
using Place = std::optional<at::Device>;

absl::StatusOr<Place> ParsePlace(const std::string& module,
                                 const std::string& device) {
  if (device == "disk") return Place();
  if (device == "cpu") return Place(at::kCPU);
  int ordinal = 0;
  if (absl::SimpleAtoi(absl::StripPrefix(device, "cuda:"), &ordinal) &&
      ordinal >= 0 && ordinal < 128) {
    return Place(at::Device(at::kCUDA, static_cast<at::DeviceIndex>(ordinal)));
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "device map: module '", module, "' is to go to '", device,
      "', but 'cpu', 'disk', or a GPU's number ('0', 'cuda:0') is expected"));
}

// The places of a map's modules.
class Places {
 public:
  static absl::StatusOr<Places> Create(Module& model,
                                       const DeviceMapEntries& map,
                                       std::optional<at::Device> execution);

  // kInvalidArgument for a tensor below no module of the map.
  absl::StatusOr<Place> Of(absl::string_view tensor) const;
  // Where a module's forward runs.
  at::Device ExecutionOf(absl::string_view path) const {
    const Place* place = Find(path);
    const bool elsewhere =
        place == nullptr || !place->has_value() || (*place)->is_cpu();
    return elsewhere ? execution_ : **place;
  }
  at::Device execution() const { return execution_; }

 private:
  // By the longest prefix of `path` that is a path itself.
  const Place* Find(absl::string_view path) const;

  absl::flat_hash_map<std::string, Place> places_;
  at::Device execution_ = at::kCPU;
};

absl::StatusOr<Places> Places::Create(Module& model,
                                      const DeviceMapEntries& map,
                                      std::optional<at::Device> execution) {
  Places places;
  absl::flat_hash_set<std::string> known;
  model.ForEachModule(
      [&](const std::string& path, Module&) { known.insert(path); });
  for (const Module::NamedSlot& slot : model.TensorSlots()) {
    known.insert(slot.name);
  }
  std::optional<at::Device> first_gpu;
  for (const auto& [module, device] : map) {
    if (!known.contains(module)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "device map: ", model.class_name(), " has no module '", module, "'"));
    }
    absl::StatusOr<Place> place = ParsePlace(module, device);
    if (!place.ok()) return place.status();
    if (place->has_value() && !(*place)->is_cpu() && !first_gpu.has_value()) {
      first_gpu = **place;
    }
    places.places_[module] = *place;
  }
  places.execution_ =
      execution.value_or(first_gpu.value_or(at::Device(at::kCPU)));
  return places;
}

const Place* Places::Find(absl::string_view path) const {
  while (true) {
    auto found = places_.find(path);
    if (found != places_.end()) return &found->second;
    if (path.empty()) return nullptr;
    const size_t dot = path.rfind('.');
    path = dot == absl::string_view::npos ? "" : path.substr(0, dot);
  }
}

absl::StatusOr<Place> Places::Of(absl::string_view tensor) const {
  const Place* place = Find(tensor);
  if (place != nullptr) return *place;
  return absl::InvalidArgumentError(
      absl::StrCat("device map: '", tensor,
                   "' is below none of its modules; add one that holds it, or "
                   "'' for all the others"));
}

// The names that are one tensor.
struct TensorGroup {
  std::vector<std::string> names;
  std::vector<const Module*> owners;
  at::Tensor tensor;
  bool is_buffer = false;
};

std::vector<TensorGroup> GroupsOf(Module& model) {
  std::vector<TensorGroup> groups;
  absl::flat_hash_map<const c10::TensorImpl*, size_t> index_of;
  for (Module::NamedSlot& slot : model.TensorSlots()) {
    auto [found, is_new] =
        index_of.try_emplace(slot.tensor.unsafeGetTensorImpl(), groups.size());
    if (is_new) {
      groups.push_back({.tensor = slot.tensor, .is_buffer = slot.is_buffer});
    }
    groups[found->second].names.push_back(std::move(slot.name));
    groups[found->second].owners.push_back(slot.owner);
  }
  return groups;
}

// Under which of its names a tensor is among the offloaded; none where it is
// not. kInvalidArgument where it is another tensor there.
absl::StatusOr<std::string> FindOffloaded(const TensorGroup& group,
                                          const OffloadedWeights* offloaded) {
  if (offloaded == nullptr) return "";
  for (const std::string& name : group.names) {
    const OffloadedWeights::Weight* weight = offloaded->Find(name);
    if (weight == nullptr) continue;
    if (weight->shape == group.tensor.sizes().vec() &&
        weight->dtype == group.tensor.scalar_type()) {
      return name;
    }
    return absl::InvalidArgumentError(absl::StrCat(
        "offloaded weight '", name, "' is ", c10::toString(weight->dtype), "[",
        absl::StrJoin(weight->shape, ", "), "], but the model's is ",
        c10::toString(group.tensor.scalar_type()), "[",
        absl::StrJoin(group.tensor.sizes(), ", "),
        "]; load the model again, in the dtype that it was offloaded in"));
  }
  return "";
}

// Everything that dispatching changes, worked out before any of it is.
class Plan {
 public:
  Plan(PretrainedModel& model, const OffloadedWeights* offloaded,
       const Places& places)
      : model_(model), offloaded_(offloaded), places_(places) {}

  absl::Status Make();
  absl::Status Apply(std::shared_ptr<const OffloadedWeights> offloaded,
                     std::optional<int64_t> prefetch_bytes);

 private:
  absl::StatusOr<Place> PlaceOf(const TensorGroup& group) const;
  absl::Status Put(const TensorGroup& group);
  absl::Status Offload(const TensorGroup& group, const std::string& stored);
  absl::Status Keep(const TensorGroup& group, const std::string& stored,
                    at::Device device);
  bool NeedsHooks() const;

  PretrainedModel& model_;
  const OffloadedWeights* offloaded_;
  const Places& places_;
  absl::flat_hash_map<std::string, at::Tensor> replaced_;
  std::vector<DispatchedWeight> weights_;
  absl::flat_hash_map<std::string, int> weight_of_;  // By the slot's name.
  absl::flat_hash_set<int> devices_;  // By ordinal; -1 is the CPU.
};

absl::StatusOr<Place> Plan::PlaceOf(const TensorGroup& group) const {
  Place place;
  for (const std::string& name : group.names) {
    absl::StatusOr<Place> one = places_.Of(name);
    if (!one.ok()) return one.status();
    if (!place.has_value()) place = *one;
  }
  return place;
}

absl::Status Plan::Offload(const TensorGroup& group,
                           const std::string& stored) {
  DispatchedWeight weight{.name = stored.empty() ? group.names[0] : stored,
                          .nbytes = static_cast<int64_t>(group.tensor.nbytes()),
                          .device = places_.execution()};
  if (stored.empty()) weight.resident = group.tensor.detach();
  for (size_t i = 0; i < group.names.size(); ++i) {
    if (!group.owners[i]->runs_hooks()) {
      return absl::UnimplementedError(
          absl::StrCat("'", group.names[i],
                       "' cannot be offloaded: ", group.owners[i]->class_name(),
                       " is not called through hooks; place it on a device"));
    }
    weight_of_[group.names[i]] = static_cast<int>(weights_.size());
  }
  weights_.push_back(std::move(weight));
  if (!group.tensor.is_meta()) {
    replaced_[group.names[0]] = at::empty(
        group.tensor.sizes(), group.tensor.options().device(at::kMeta));
  }
  return absl::OkStatus();
}

absl::Status Plan::Keep(const TensorGroup& group, const std::string& stored,
                        at::Device device) {
  devices_.insert(device.is_cpu() ? -1 : device.index());
  at::Tensor tensor = group.tensor;
  if (tensor.is_meta()) {
    if (stored.empty()) {
      return absl::NotFoundError(absl::StrCat(
          "'", group.names[0],
          "' has no values: it is on the meta device, and not among the "
          "offloaded weights; load the model with this device map"));
    }
    absl::StatusOr<at::Tensor> read = offloaded_->Get(stored);
    if (!read.ok()) return read.status();
    tensor = *std::move(read);
  }
  if (tensor.device() != device) tensor = tensor.to(device);
  if (!tensor.is_same(group.tensor)) replaced_[group.names[0]] = tensor;
  return absl::OkStatus();
}

absl::Status Plan::Put(const TensorGroup& group) {
  absl::StatusOr<Place> place = PlaceOf(group);
  if (!place.ok()) return place.status();
  absl::StatusOr<std::string> stored = FindOffloaded(group, offloaded_);
  if (!stored.ok()) return stored.status();
  if (group.is_buffer) {
    return Keep(group, *stored, places_.ExecutionOf(group.names[0]));
  }
  const bool on_disk = !place->has_value();
  if (!on_disk && (!(*place)->is_cpu() || places_.execution().is_cpu())) {
    return Keep(group, *stored, **place);
  }
  if (stored->empty() && (on_disk || group.tensor.is_meta())) {
    return absl::NotFoundError(absl::StrCat(
        "'", group.names[0], "' is to be ", on_disk ? "on disk" : "on the CPU",
        ", but it is not among the offloaded weights; load the model with this "
        "device map"));
  }
  return Offload(group, *stored);
}

absl::Status Plan::Make() {
  for (const TensorGroup& group : GroupsOf(model_)) {
    absl::Status status = Put(group);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

bool Plan::NeedsHooks() const {
  return !weights_.empty() || devices_.size() > 1;
}

absl::Status Plan::Apply(std::shared_ptr<const OffloadedWeights> offloaded,
                         std::optional<int64_t> prefetch_bytes) {
  absl::Status status = model_.ReplaceTensors(replaced_);
  if (!status.ok() || !NeedsHooks()) return status;
  int64_t largest = 0;
  for (const auto& weight : weights_)
    largest = std::max(largest, weight.nbytes);
  struct Hooked {
    Module* module;
    int unit;
    at::Device device;
  };
  std::vector<Hooked> hooked;
  std::vector<DispatchedUnit> units;
  model_.ForEachModule([&](const std::string& path, Module& module) {
    if (!module.runs_hooks() ||
        module.named_parameters(/*recurse=*/false).is_empty()) {
      return;
    }
    DispatchedUnit unit;
    for (const auto& entry : module.named_parameters(/*recurse=*/false)) {
      auto weight = weight_of_.find(JoinPath(path, entry.key()));
      if (weight == weight_of_.end()) continue;
      unit.parameters.push_back(
          {.name = entry.key(), .weight = weight->second});
    }
    const bool comes_and_goes = !unit.parameters.empty();
    hooked.push_back({&module,
                      comes_and_goes ? static_cast<int>(units.size()) : -1,
                      places_.ExecutionOf(path)});
    if (comes_and_goes) units.push_back(std::move(unit));
  });
  const auto dispatch = std::make_shared<Dispatch>(
      std::move(offloaded), std::move(weights_), std::move(units),
      prefetch_bytes.value_or(largest));
  for (const Hooked& one : hooked) {
    one.module->AddHook(
        std::make_shared<DispatchHook>(dispatch, one.unit, one.device));
  }
  return absl::OkStatus();
}

// The hooks of dispatching, and whose they are.
std::vector<std::pair<Module*, const DispatchHook*>> HooksOf(
    PretrainedModel& model) {
  std::vector<std::pair<Module*, const DispatchHook*>> hooks;
  model.ForEachModule([&](const std::string&, Module& module) {
    for (const auto& hook : module.hooks()) {
      const auto* found = dynamic_cast<const DispatchHook*>(hook.get());
      if (found != nullptr) hooks.emplace_back(&module, found);
    }
  });
  return hooks;
}

}  // namespace

absl::Status DispatchModel(PretrainedModel& model,
                           const DeviceMapEntries& device_map,
                           std::shared_ptr<const OffloadedWeights> offloaded,
                           const DispatchOptions& options) {
  if (IsDispatched(model)) {
    return absl::FailedPreconditionError(
        "the model is dispatched already; RemoveHooks() first");
  }
  if (options.prefetch_bytes.value_or(0) < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("prefetch_bytes is ", *options.prefetch_bytes,
                     ", but a number of bytes from 0 is expected"));
  }
  return CatchTorch("dispatching the model", [&]() -> absl::Status {
    absl::StatusOr<Places> places =
        Places::Create(model, device_map, options.execution_device);
    if (!places.ok()) return places.status();
    Plan plan(model, offloaded.get(), *places);
    absl::Status status = plan.Make();
    if (!status.ok()) return status;
    status = plan.Apply(std::move(offloaded), options.prefetch_bytes);
    if (status.ok()) model.set_hf_device_map(device_map);
    return status;
  });
}

bool IsDispatched(PretrainedModel& model) { return !HooksOf(model).empty(); }

absl::Status RemoveHooks(PretrainedModel& model,
                         OffloadedAfterwards afterwards) {
  const auto hooks = HooksOf(model);
  if (hooks.empty()) return absl::OkStatus();
  return CatchTorch("removing hooks", [&]() -> absl::Status {
    if (afterwards == OffloadedAfterwards::kInMemory) {
      absl::flat_hash_map<std::string, at::Tensor> values;
      for (const TensorGroup& group : GroupsOf(model)) {
        if (!group.tensor.is_meta()) continue;
        auto read = group.owners[0]->ParameterReader(LastPart(group.names[0]));
        if (!read) continue;
        absl::StatusOr<at::Tensor> tensor = read();
        if (!tensor.ok()) return tensor.status();
        values[group.names[0]] = *std::move(tensor);
      }
      absl::Status status = model.ReplaceTensors(values);
      if (!status.ok()) return status;
      if (model.device().is_cpu()) model.set_hf_device_map({{"", "cpu"}});
    }
    for (const auto& [module, hook] : hooks) module->RemoveHook(hook);
    return absl::OkStatus();
  });
}

}  // namespace pretrained
