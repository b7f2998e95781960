#include "modeling/weight_loader.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "ATen/core/grad_mode.h"
#include "ATen/ops/empty_like.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "checkpoint/checkpoint.h"
#include "modeling/catch_torch.h"
#include "modeling/key_matching.h"
#include "modeling/loading_info.h"
#include "modeling/module.h"
#include "modeling/pretrained_model.h"
#include "modeling/tensor_bridge.h"

namespace pretrained {
namespace {

// The name of a tensor within its module: "weight".
absl::string_view LastPart(absl::string_view name) {
  const size_t dot = name.rfind('.');
  return dot == absl::string_view::npos ? name : name.substr(dot + 1);
}

}  // namespace

absl::Status LoadMatchedWeights(const Checkpoint& checkpoint,
                                const KeyMatches& matches,
                                const WeightLoaderOptions& options,
                                Module& model, LoadingInfo& info) {
  absl::flat_hash_map<absl::string_view, absl::string_view> model_name_of;
  for (const MatchedKey& match : matches.matched) {
    model_name_of[match.stored_name] = match.model_name;
  }
  absl::flat_hash_map<std::string, at::Tensor> loaded;
  int64_t total_bytes = 0;
  std::vector<const TensorInfo*> wanted;
  for (const TensorInfo& stored : checkpoint.tensors()) {
    if (!model_name_of.contains(stored.name)) continue;
    total_bytes += stored.nbytes();
    wanted.push_back(&stored);
  }
  std::stable_sort(wanted.begin(), wanted.end(),
                   [](const TensorInfo* a, const TensorInfo* b) {
                     return std::pair(a->file, a->begin) <
                            std::pair(b->file, b->begin);
                   });
  bool mapped = false;
  bool read = false;
  for (const TensorInfo* const tensor_info : wanted) {
    const TensorInfo& stored = *tensor_info;
    const auto match = model_name_of.find(stored.name);
    const Dtype dtype =
        IsFloatingPoint(stored.dtype) ? options.dtype : stored.dtype;
    const bool in_place =
        options.use_mmap && stored.in_place && dtype == stored.dtype;
    (in_place ? mapped : read) = true;
    absl::StatusOr<at::Tensor> tensor = ReadTensor(
        checkpoint, stored, {.dtype = dtype, .use_mmap = options.use_mmap});
    if (!tensor.ok()) return tensor.status();
    info.bytes += stored.nbytes();
    loaded.emplace(match->second, *std::move(tensor));
    if (options.progress) options.progress(info.bytes, total_bytes);
  }
  info.engine = mapped && read ? "mapped+read" : mapped ? "mapped" : "read";
  return model.ReplaceTensors(loaded);
}

absl::Status InitializeMissingWeights(const KeyMatches& matches,
                                      PretrainedModel& model) {
  if (matches.without_value.empty()) return absl::OkStatus();
  return CatchTorch("initialising weights", [&]() -> absl::Status {
    at::NoGradGuard no_grad;
    const absl::flat_hash_set<absl::string_view> names(
        matches.without_value.begin(), matches.without_value.end());
    absl::flat_hash_map<std::string, at::Tensor> drawn;
    for (const Module::NamedSlot& slot : model.TensorSlots()) {
      if (!names.contains(slot.name)) continue;
      at::Tensor tensor =
          at::empty_like(slot.tensor, at::TensorOptions().device(at::kCPU));
      model.InitializeTensor(LastPart(slot.name), *slot.owner, tensor);
      drawn.emplace(slot.name, std::move(tensor));
    }
    return model.ReplaceTensors(drawn);
  });
}

}  // namespace pretrained
