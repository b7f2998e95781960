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
#include "dtypes/dtype.h"
#include "modeling/catch_torch.h"
#include "modeling/key_matching.h"
#include "modeling/loading_info.h"
#include "modeling/module.h"
#include "modeling/pretrained_model.h"
#include "modeling/tensor_bridge.h"

namespace pretrained {
namespace {

// A tensor of the model that is to be read, and from where.
struct WantedTensor {
  std::string model_name;
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
    const Checkpoint& checkpoint, const KeyMatches& matches, Module& model) {
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
  for (const Module::NamedSlot& slot : model.TensorSlots()) {
    const auto stored = stored_of.find(slot.name);
    if (stored == stored_of.end()) continue;
    absl::StatusOr<Dtype> dtype = ToDtype(slot.tensor.scalar_type());
    if (!dtype.ok()) return dtype.status();
    if (!IsFloatingPoint(stored->second->dtype)) dtype = stored->second->dtype;
    const auto [entry, inserted] =
        position.try_emplace(slot.tensor.unsafeGetTensorImpl(), wanted.size());
    if (inserted) wanted.emplace_back();
    wanted[entry->second] = {slot.name, stored->second, *dtype};
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

  absl::Status Read(const std::vector<WantedTensor>& wanted,
                    LoadingInfo& info) {
    std::vector<TensorRequest> requests;
    std::vector<const WantedTensor*> tensors;  // One for each request.
    for (const WantedTensor& tensor : wanted) {
      info.bytes += tensor.stored->nbytes();
      if (!IsNew(tensor)) continue;
      requests.push_back({tensor.stored, tensor.dtype});
      tensors.push_back(&tensor);
    }
    LoaderOptions loader = options_.loader;
    if (!options_.use_mmap) loader.sharing = Sharing::kPrivate;
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
  // Whether the tensor is not one with another one that was asked for.
  bool IsNew(const WantedTensor& wanted) {
    const TensorInfo& stored = *wanted.stored;
    if (stored.storage < 0 || stored.num_elements() == 0) return true;
    if (untied_.contains(wanted.model_name)) return true;
    auto& names = names_of_view_[{ViewKeyOf(stored), wanted.dtype}];
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
      WhatToRead(checkpoint, matches, model);
  if (!wanted.ok()) return wanted.status();
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
                                      std::optional<at::Generator> generator) {
  if (matches.without_value.empty()) return absl::OkStatus();
  return CatchTorch("initialising weights", [&]() -> absl::Status {
    at::NoGradGuard no_grad;
    const absl::flat_hash_set<absl::string_view> names(
        matches.without_value.begin(), matches.without_value.end());
    absl::flat_hash_map<std::string, at::Tensor> drawn;
    for (const Module::NamedSlot& slot : model.TensorSlots()) {
      if (!slot.tensor.is_meta() || !names.contains(slot.name)) continue;
      at::Tensor tensor =
          at::empty_like(slot.tensor, at::TensorOptions().device(at::kCPU));
      model.InitializeTensor({.name = slot.name,
                              .owner = *slot.owner,
                              .tensor = tensor,
                              .generator = generator});
      drawn.emplace(slot.name, std::move(tensor));
    }
    return model.ReplaceTensors(drawn);
  });
}

}  // namespace pretrained
