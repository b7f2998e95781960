#include "modeling/embedding_ops.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "ATen/core/grad_mode.h"
#include "ATen/ops/empty.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "device_map/module_tree.h"
#include "modeling/catch_torch.h"
#include "modeling/layers.h"
#include "modeling/module.h"

namespace pretrained {
namespace {

using TensorsByName = absl::flat_hash_map<std::string, at::Tensor>;

constexpr char kWeight[] = "weight";
constexpr char kBias[] = "bias";

absl::StatusOr<Module*> ModuleWithWeight(Module& model,
                                         const std::string& path) {
  Module* module = FindModule(model, path);
  if (module != nullptr && module->has_parameter(kWeight) &&
      module->parameter(kWeight).dim() == 2) {
    return module;
  }
  return absl::NotFoundError(absl::StrCat(
      model.class_name(), " has no module '", path, "' with a matrix"));
}

// `module`'s weight with `rows` rows, put in `resized` if that is another one.
void Resize(const Module& module, const std::string& path, int64_t dim,
            int64_t rows, DrawRows draw, TensorsByName& resized) {
  const at::Tensor& weight = module.parameter(kWeight);
  if (weight.size(dim) == rows) return;
  const std::string name = JoinPath(path, kWeight);
  resized[name] = WithLength(weight, dim, rows, [&](const at::Tensor& added) {
    draw(module, name, added);
  });
}

}  // namespace

absl::StatusOr<int64_t> ResizedRows(int64_t current_rows,
                                    std::optional<int64_t> num_tokens,
                                    std::optional<int64_t> pad_to_multiple_of) {
  // Beyond this no vocabulary makes sense, and sizes would overflow.
  constexpr int64_t kMaxRows = int64_t{1} << 31;
  const int64_t multiple = pad_to_multiple_of.value_or(1);
  const int64_t wanted = num_tokens.value_or(current_rows);
  if (multiple < 1 || multiple > kMaxRows) {
    return absl::InvalidArgumentError(
        absl::StrCat("pad_to_multiple_of is ", multiple,
                     ", but a whole number from 1 is expected"));
  }
  if (wanted < 1 || wanted > kMaxRows) {
    return absl::InvalidArgumentError(
        absl::StrCat("a vocabulary of ", wanted,
                     " tokens was asked for, but 1 to 2^31 are possible"));
  }
  return (wanted + multiple - 1) / multiple * multiple;
}

at::Tensor WithLength(const at::Tensor& tensor, int64_t dim, int64_t length,
                      absl::FunctionRef<void(const at::Tensor&)> draw) {
  at::NoGradGuard no_grad;
  std::vector<int64_t> shape = tensor.sizes().vec();
  const int64_t kept = std::min(length, shape[dim]);
  shape[dim] = length;
  at::Tensor resized = at::empty(shape, tensor.options());
  resized.narrow(dim, 0, kept).copy_(tensor.narrow(dim, 0, kept));
  if (length > kept) draw(resized.narrow(dim, kept, length - kept));
  return resized;
}

absl::StatusOr<TensorsByName> ResizedTensors(Module& model,
                                             const TokenModules& modules,
                                             int64_t rows, DrawRows draw) {
  absl::StatusOr<Module*> input = ModuleWithWeight(model, modules.input);
  if (!input.ok()) return input.status();
  const Module* head = nullptr;
  if (!modules.output.empty()) {
    absl::StatusOr<Module*> output = ModuleWithWeight(model, modules.output);
    if (!output.ok()) return output.status();
    head = *output;
  }
  return CatchTorch(
      "resizing token embeddings", [&]() -> absl::StatusOr<TensorsByName> {
        TensorsByName resized;
        Resize(**input, modules.input, /*dim=*/0, rows, draw, resized);
        if (head == nullptr) return resized;
        if (!head->parameter(kWeight).is_same((*input)->parameter(kWeight))) {
          const bool transposed = dynamic_cast<const Conv1D*>(head) != nullptr;
          Resize(*head, modules.output, transposed ? 1 : 0, rows, draw,
                 resized);
        }
        if (head->has_parameter(kBias) &&
            head->parameter(kBias).size(0) != rows) {
          resized[JoinPath(modules.output, kBias)] =
              WithLength(head->parameter(kBias), 0, rows,
                         [](const at::Tensor& added) { added.zero_(); });
        }
        return resized;
      });
}

Module* FindModule(Module& model, absl::string_view path) {
  Module* found = nullptr;
  model.ForEachModule([&](const std::string& name, Module& module) {
    if (found == nullptr && name == path) found = &module;
  });
  return found;
}

absl::Status CheckReplacement(absl::string_view name, const at::Tensor& old,
                              const at::Tensor& tensor) {
  if (!tensor.defined()) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": is not given"));
  }
  if (tensor.sizes() != old.sizes()) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": is [", absl::StrJoin(tensor.sizes(), ", "),
                     "], but [", absl::StrJoin(old.sizes(), ", "),
                     "] is expected; resize the token embeddings first"));
  }
  if (!at::isFloatingType(tensor.scalar_type())) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": is of ", at::toString(tensor.scalar_type()),
                     ", but a floating dtype is expected"));
  }
  return absl::OkStatus();
}

}  // namespace pretrained
