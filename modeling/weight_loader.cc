#include "modeling/weight_loader.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "ATen/core/Generator.h"
#include "ATen/core/Tensor.h"
#include "ATen/core/grad_mode.h"
#include "ATen/ops/empty_like.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/loading/engine_choice.h"
#include "checkpoint/loading/shard_loader.h"
#include "device_map/device.h"
#include "dtypes/dtype.h"
#include "modeling/catch_torch.h"
#include "modeling/device_map_option.h"
#include "modeling/key_matching.h"
#include "modeling/loading_info.h"
#include "modeling/module.h"
#include "modeling/offload/weight_offloader.h"
#include "modeling/pretrained_model.h"
#include "modeling/tensor_bridge.h"

namespace pretrained {
namespace {

// A tensor of the model that is to be read, and from where.
struct WantedTensor {
  std::string model_name;
  std::vector<std::string> names;  // All that it has in the model.
  Device device = Device::Cpu();   // Where it goes.
  const TensorInfo* stored = nullptr;
  Dtype dtype = Dtype::kFloat32;  // In the model.
};

// Stored tensors with equal keys are views of the very same memory: file,
// storage, offset, shape, strides, dtype.
using ViewKey = std::tuple<int, int, int64_t, std::vector<int64_t>,
                           std::vector<int64_t>, Dtype>;

ViewKey ViewKeyOf(const TensorInfo& stored) {
  return {stored.file,  stored.storage, stored.storage_offset,
          stored.shape, stored.strides, stored.dtype};
}

// What to read, in the order of its bytes: of names that are one tensor in the
// model, the last one.
absl::StatusOr<std::vector<WantedTensor>> WhatToRead(
    const Checkpoint& checkpoint, const KeyMatches& matches,
    const Placement* placement, Module& model) {
  absl::flat_hash_map<absl::string_view, const TensorInfo*> stored_of;
  {
    absl::flat_hash_map<absl::string_view, const TensorInfo*> by_name;
    for (const TensorInfo& stored : checkpoint.tensors()) {
      by_name[stored.name] = &stored;
    }
    for (const MatchedKey& match : matches.matched) {
      stored_of[match.model_name] = by_name.at(match.stored_name);
    }
  }
  absl::flat_hash_map<const c10::TensorImpl*, size_t> position;
  std::vector<WantedTensor> wanted;
  const std::vector<Module::NamedSlot> slots = model.TensorSlots();
  for (const Module::NamedSlot& slot : slots) {
    const auto stored = stored_of.find(slot.name);
    if (stored == stored_of.end()) continue;
    absl::StatusOr<Dtype> dtype = ToDtype(slot.tensor.scalar_type());
    if (!dtype.ok()) return dtype.status();
    if (!IsFloatingPoint(stored->second->dtype)) dtype = stored->second->dtype;
    const auto [entry, inserted] =
        position.try_emplace(slot.tensor.unsafeGetTensorImpl(), wanted.size());
    if (inserted) wanted.emplace_back();
    WantedTensor& tensor = wanted[entry->second];
    tensor.model_name = slot.name;
    tensor.stored = stored->second;
    tensor.dtype = *dtype;
    if (placement != nullptr && !slot.is_buffer) {
      tensor.device = placement->DeviceOf(slot.name);
    }
  }
  for (const Module::NamedSlot& slot : slots) {
    const auto tensor = position.find(slot.tensor.unsafeGetTensorImpl());
    if (tensor != position.end()) {
      wanted[tensor->second].names.push_back(slot.name);
    }
  }
  std::stable_sort(wanted.begin(), wanted.end(),
                   [](const WantedTensor& a, const WantedTensor& b) {
                     return std::pair(a.stored->file, a.stored->begin) <
                            std::pair(b.stored->file, b.stored->begin);
                   });
  return wanted;
}

// Reads the tensors of a list, and finds those that are to be one.
class WeightReader {
 public:
  WeightReader(const Checkpoint& checkpoint, const WeightLoaderOptions& options)
      : checkpoint_(checkpoint),
        options_(options),
        untied_(options.untied_weights.begin(), options.untied_weights.end()) {}

  absl::Status Read(std::vector<WantedTensor>& wanted, LoadingInfo& info) {
    JoinPlaces(wanted);
    std::vector<TensorRequest> requests;
    std::vector<const WantedTensor*> tensors;  // One for each request.
    bool in_several_places = false;
    for (const WantedTensor& tensor : wanted) {
      in_several_places |= tensor.device != Device::Cpu();
      if (tensor.device == Device::Meta()) continue;
      info.bytes += tensor.stored->nbytes();
      info.bytes_by_device[tensor.device.ToString()] +=
          tensor.stored->num_elements() * DtypeSize(tensor.dtype);
      const bool is_new = IsNew(tensor);
      if (StaysOutside(tensor)) {
        options_.offloader->AddStored(tensor.names, *tensor.stored,
                                      tensor.dtype);
        continue;
      }
      if (!is_new) continue;
      requests.push_back({tensor.stored, tensor.dtype});
      tensors.push_back(&tensor);
    }
    if (options_.offloader != nullptr) {
      absl::Status status = options_.offloader->CheckFolder();
      if (!status.ok()) return status;
    }
    if (requests.empty() && in_several_places) {
      info.engine = "none";
      return absl::OkStatus();
    }
    LoaderOptions loader = options_.loader;
    if (!options_.use_mmap) {
      loader.sharing = Sharing::kPrivate;
    } else if (in_several_places && loader.sharing == Sharing::kAuto) {
      loader.sharing = Sharing::kShared;  // Budgets count private memory.
    }
    loader.progress = options_.progress;
    LoadReport report;
    absl::StatusOr<std::vector<TensorView>> views =
        LoadTensors(checkpoint_, requests, loader, &report);
    if (!views.ok()) return views.status();
    info.engine = report.Engines();
    for (const LoadReport::File& file : report.files) {
      info.loaded_files.push_back({.path = file.path,
                                   .engine = file.Engines(),
                                   .read_bytes = file.read_bytes,
                                   .gb_per_second = file.gb_per_second()});
    }
    for (size_t i = 0; i < tensors.size(); ++i) {
      absl::StatusOr<at::Tensor> tensor = TensorFromView(
          (*views)[i], tensors[i]->dtype, tensors[i]->stored->shape);
      if (!tensor.ok()) return tensor.status();
      loaded_.emplace(tensors[i]->model_name, *std::move(tensor));
      (*views)[i] = {};  // A tensor that was copied needs it no more.
    }
    return absl::OkStatus();
  }

  const absl::flat_hash_map<std::string, at::Tensor>& loaded() const {
    return loaded_;
  }
  // Groups of the model's names that the checkpoint stores as one tensor; of
  // each, loaded() has the first.
  std::vector<std::vector<std::string>> tied() const {
    std::vector<std::vector<std::string>> groups;
    for (const auto& [unused, names] : names_of_view_) {
      if (names.size() > 1) groups.push_back(names);
    }
    return groups;
  }

 private:
  // Of what the checkpoint stores as one, all goes where the first of its
  // devices is.
  void JoinPlaces(std::vector<WantedTensor>& wanted) const {
    std::map<std::pair<ViewKey, Dtype>, Device> first;
    for (const WantedTensor& tensor : wanted) {
      if (!MayBeOne(tensor)) continue;
      const auto [place, is_new] = first.try_emplace(
          {ViewKeyOf(*tensor.stored), tensor.dtype}, tensor.device);
      if (tensor.device < place->second) place->second = tensor.device;
    }
    for (WantedTensor& tensor : wanted) {
      if (!MayBeOne(tensor)) continue;
      tensor.device = first.at({ViewKeyOf(*tensor.stored), tensor.dtype});
    }
  }

  bool StaysOutside(const WantedTensor& tensor) const {
    return tensor.device == Device::Disk() ||
           (tensor.device.is_gpu() &&
            options_.offloader->IsUsableInPlace(*tensor.stored, tensor.dtype));
  }

  // Whether the checkpoint may store other tensors as one with this one.
  bool MayBeOne(const WantedTensor& wanted) const {
    return wanted.stored->storage >= 0 && wanted.stored->num_elements() > 0 &&
           !untied_.contains(wanted.model_name);
  }

  // Whether the tensor is not one with another one that was asked for.
  bool IsNew(const WantedTensor& wanted) {
    if (!MayBeOne(wanted)) return true;
    auto& names = names_of_view_[{ViewKeyOf(*wanted.stored), wanted.dtype}];
    names.push_back(wanted.model_name);
    return names.size() == 1;
  }

  const Checkpoint& checkpoint_;
  const WeightLoaderOptions& options_;
  const absl::flat_hash_set<std::string> untied_;
  absl::flat_hash_map<std::string, at::Tensor> loaded_;
  // By what is stored and the dtype it takes in the model.
  std::map<std::pair<ViewKey, Dtype>, std::vector<std::string>> names_of_view_;
};

}  // namespace

absl::Status LoadMatchedWeights(const Checkpoint& checkpoint,
                                const KeyMatches& matches,
                                const WeightLoaderOptions& options,
                                Module& model, LoadingInfo& info) {
  absl::StatusOr<std::vector<WantedTensor>> wanted =
      WhatToRead(checkpoint, matches, options.placement, model);
  if (!wanted.ok()) return wanted.status();
  if (options.placement != nullptr) {
    for (const std::string& name : matches.without_value) {
      if (options.placement->DeviceOf(name) != Device::Disk()) continue;
      options.offloader->ExpectDrawn(name);
    }
  }
  WeightReader reader(checkpoint, options);
  absl::Status status = reader.Read(*wanted, info);
  if (!status.ok()) return status;
  status = model.ReplaceTensors(reader.loaded());
  for (const std::vector<std::string>& names : reader.tied()) {
    if (status.ok()) status = model.TieTensors(names);
  }
  return status;
}

absl::Status InitializeMissingWeights(const KeyMatches& matches,
                                      PretrainedModel& model,
                                      std::optional<at::Generator> generator,
                                      const WeightLoaderOptions& options) {
  if (matches.without_value.empty()) return absl::OkStatus();
  return CatchTorch("initialising weights", [&]() -> absl::Status {
    at::NoGradGuard no_grad;
    const absl::flat_hash_set<absl::string_view> missing(
        matches.without_value.begin(), matches.without_value.end());
    const std::vector<Module::NamedSlot> slots = model.TensorSlots();
    // Of several names of one tensor the last one's values count.
    absl::flat_hash_map<const c10::TensorImpl*, std::vector<std::string>> names;
    for (const Module::NamedSlot& slot : slots) {
      names[slot.tensor.unsafeGetTensorImpl()].push_back(slot.name);
    }
    absl::flat_hash_map<std::string, at::Tensor> drawn;
    for (const Module::NamedSlot& slot : slots) {
      if (!slot.tensor.is_meta() || !missing.contains(slot.name)) continue;
      const Device device = options.placement == nullptr || slot.is_buffer
                                ? Device::Cpu()
                                : options.placement->DeviceOf(slot.name);
      if (device == Device::Meta()) continue;
      at::Tensor tensor =
          at::empty_like(slot.tensor, at::TensorOptions().device(at::kCPU));
      model.InitializeTensor({.name = slot.name,
                              .owner = *slot.owner,
                              .tensor = tensor,
                              .generator = generator});
      if (device != Device::Disk()) {
        drawn.emplace(slot.name, std::move(tensor));
        continue;
      }
      const auto& all = names.at(slot.tensor.unsafeGetTensorImpl());
      if (slot.name != all.back()) continue;
      absl::Status status = options.offloader->AddDrawn(all, tensor);
      if (!status.ok()) return status;
    }
    return model.ReplaceTensors(drawn);
  });
}

}  // namespace pretrained
