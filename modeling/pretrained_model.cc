#include "modeling/pretrained_model.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_set.h"
#include "absl/log/absl_log.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "modeling/flops.h"
#include "modeling/token_embeddings.h"

namespace pretrained {

PretrainedModel::PretrainedModel(PretrainedConfig config, ModelLayout layout,
                                 const ModuleOptions& options)
    : Module(layout.tree.root, options),
      config_(std::move(config)),
      layout_(std::move(layout)),
      hf_device_map_({{"", "cpu"}}) {}

absl::Status PretrainedModel::PruneHeads(
    const std::map<int64_t, std::vector<int64_t>>& heads) {
  return absl::UnimplementedError(
      absl::StrCat(class_name(), " does not prune heads"));
}

absl::Status PretrainedModel::ResizeTokenEmbeddings(
    int64_t num_tokens, std::optional<int64_t> pad_to_multiple_of) {
  const std::string name = JoinPath(InputEmbeddingsPath(), "weight");
  absl::StatusOr<int64_t> rows = ResizeEmbeddingRows(
      *this, name, num_tokens, pad_to_multiple_of,
      [this](const Module& owner, const at::Tensor& tensor) {
        InitializeTensor("weight", owner, tensor);
      });
  if (!rows.ok()) return rows.status();
  config_.Set("vocab_size", *rows);
  return absl::OkStatus();
}

at::ScalarType PretrainedModel::dtype() {
  for (const NamedSlot& slot : TensorSlots()) {
    if (!slot.is_buffer && at::isFloatingType(slot.tensor.scalar_type())) {
      return slot.tensor.scalar_type();
    }
  }
  return at::kFloat;
}

at::Device PretrainedModel::device() {
  for (const NamedSlot& slot : TensorSlots()) {
    if (!slot.is_buffer) return slot.tensor.device();
  }
  return at::kCPU;
}

std::vector<CountedTensor> PretrainedModel::CountedTensors() {
  std::vector<CountedTensor> counted;
  absl::flat_hash_set<c10::TensorImpl*> seen;
  for (const NamedSlot& slot : TensorSlots()) {
    if (!seen.insert(slot.tensor.unsafeGetTensorImpl()).second) continue;
    const bool is_weight = absl::EndsWith(slot.name, ".weight");
    counted.push_back(
        {.name = slot.name,
         .num_elements = slot.tensor.numel(),
         .element_bytes = static_cast<int64_t>(slot.tensor.element_size()),
         .requires_grad = slot.tensor.requires_grad(),
         .is_buffer = slot.is_buffer,
         .is_embedding_weight = !slot.is_buffer && is_weight &&
                                slot.owner->class_name() == "Embedding"});
  }
  return counted;
}

int64_t PretrainedModel::num_parameters(const CountOptions& options) {
  return CountParameters(CountedTensors(), options);
}

int64_t PretrainedModel::get_memory_footprint(bool return_buffers) {
  return MemoryFootprintBytes(CountedTensors(), return_buffers);
}

int64_t PretrainedModel::estimate_tokens(const NamedTensors& inputs) const {
  auto main_input = inputs.find(layout_.main_input_name);
  if (main_input != inputs.end()) return main_input->second.numel();
  ABSL_LOG_FIRST_N(WARNING, 1)
      << "the inputs have no '" << layout_.main_input_name
      << "', so that their tokens, and floating-point "
         "operations, count as none";
  return 0;
}

int64_t PretrainedModel::floating_point_ops(const NamedTensors& inputs,
                                            bool exclude_embeddings) {
  return FloatingPointOps(CountedTensors(), estimate_tokens(inputs),
                          exclude_embeddings);
}

absl::Status PretrainedModel::CheckInputNames(
    const NamedTensors& inputs,
    absl::Span<const absl::string_view> accepted) const {
  for (const auto& [name, unused] : inputs) {
    if (!absl::c_linear_search(accepted, name)) {
      return absl::InvalidArgumentError(
          absl::StrCat(class_name(), " has no input '", name,
                       "'; it takes: ", absl::StrJoin(accepted, ", ")));
    }
  }
  return absl::OkStatus();
}

}  // namespace pretrained
