// PretrainedModel's methods that give it other weights: head_pruning.h and
// embedding_ops.h make tensors, which are put in place here, all at once.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "device_map/module_tree.h"
#include "modeling/attention_heads.h"
#include "modeling/catch_torch.h"
#include "modeling/embedding_ops.h"
#include "modeling/head_pruning.h"
#include "modeling/module.h"
#include "modeling/pretrained_model.h"

namespace pretrained {

using TensorsByName = absl::flat_hash_map<std::string, at::Tensor>;

absl::Status PretrainedModel::CheckSurgery(absl::string_view doing) {
  // A model that is all on the meta device is a plan, which may change.
  std::string away;
  bool is_plan = true;
  for (const NamedSlot& slot : TensorSlots()) {
    if (slot.is_buffer) continue;
    if (!slot.tensor.is_meta()) {
      is_plan = false;
      continue;
    }
    if (away.empty()) away = slot.name;
    // A hook has its values.
    if (slot.owner->ParameterReader(LastPart(slot.name))) is_plan = false;
  }
  if (is_plan || away.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      doing, ": '", away,
      "' and others are offloaded, and have no values here; load the model "
      "whole, without a device map that offloads"));
}

std::vector<std::pair<std::string, PretrainedModel*>>
PretrainedModel::ModelsBelow() {
  std::vector<std::pair<std::string, PretrainedModel*>> models;
  ForEachModule([&](const std::string& path, Module& module) {
    if (auto* model = dynamic_cast<PretrainedModel*>(&module)) {
      models.emplace_back(path, model);
    }
  });
  return models;
}

void PretrainedModel::DrawRowsOf(const Module& owner, absl::string_view name,
                                 const at::Tensor& rows) const {
  InitializeTensor(
      {.name = name, .owner = owner, .tensor = rows, .is_new_rows = true});
}

absl::Status PretrainedModel::PruneHeads(
    const std::map<int64_t, std::vector<int64_t>>& heads) {
  const auto models = ModelsBelow();
  std::optional<AttentionHeads> known;
  std::string prefix;
  for (const auto& [path, model] : models) {
    known = model->attention_heads();
    prefix = path;
    if (known.has_value()) break;
  }
  if (!known.has_value()) {
    return absl::UnimplementedError(
        absl::StrCat(class_name(), " does not prune heads"));
  }
  absl::StatusOr<PrunedHeads> going = PlanHeadPruning(*known, heads);
  if (!going.ok()) return going.status();
  absl::Status status = CheckSurgery("pruning heads");
  if (!status.ok()) return status;
  absl::StatusOr<TensorsByName> tensors =
      PrunedTensors(*this, prefix, *known, *going);
  if (!tensors.ok()) return tensors.status();
  status = ReplaceTensors(*tensors);
  if (!status.ok()) return status;
  PrunedHeads pruned = known->pruned;
  for (const auto& [layer, gone] : *going) {
    pruned[layer].insert(gone.begin(), gone.end());
  }
  for (const auto& [unused, model] : models) {
    model->config_.Set("pruned_heads", PrunedHeadsJson(pruned));
    model->TakePrunedHeads(pruned);
  }
  return absl::OkStatus();
}

absl::Status PretrainedModel::ResizeTokenEmbeddings(
    std::optional<int64_t> num_tokens,
    std::optional<int64_t> pad_to_multiple_of) {
  if (!num_tokens.has_value() && !pad_to_multiple_of.has_value()) {
    return absl::OkStatus();
  }
  const Module* input = get_input_embeddings();
  if (input == nullptr) {
    return absl::InternalError(absl::StrCat(class_name(), " has no module '",
                                            InputEmbeddingsPath(), "'"));
  }
  absl::StatusOr<int64_t> rows = ResizedRows(input->parameter("weight").size(0),
                                             num_tokens, pad_to_multiple_of);
  if (!rows.ok()) return rows.status();
  absl::Status status = CheckSurgery("resizing token embeddings");
  if (!status.ok()) return status;
  absl::StatusOr<TensorsByName> tensors = ResizedTensors(
      *this, {.input = InputEmbeddingsPath(), .output = OutputEmbeddingsPath()},
      *rows,
      [this](const Module& owner, absl::string_view name,
             const at::Tensor& added) { DrawRowsOf(owner, name, added); });
  if (!tensors.ok()) return tensors.status();
  status = ReplaceTensors(*tensors);
  if (!status.ok()) return status;
  for (const auto& [unused, model] : ModelsBelow()) {
    model->config_.Set("vocab_size", *rows);
    model->TakeVocabSize(*rows);
  }
  if (layout_.cloned_weights.empty()) return absl::OkStatus();
  return CatchTorch("tying weights", [this] {  // Copies become copies again.
    TieWeights();
    return absl::OkStatus();
  });
}

absl::Status PretrainedModel::ResizePositionEmbeddings(int64_t num_positions) {
  const Module* table = get_position_embeddings();
  if (table == nullptr) {
    return absl::UnimplementedError(
        absl::StrCat(class_name(), " does not resize position embeddings"));
  }
  absl::Status status = CheckSurgery("resizing position embeddings");
  if (!status.ok()) return status;
  constexpr int64_t kMostPositions = int64_t{1} << 31;
  if (num_positions < 1 || num_positions > kMostPositions) {
    return absl::InvalidArgumentError(
        absl::StrCat(num_positions,
                     " positions were asked for, but 1 to 2^31 are possible"));
  }
  absl::StatusOr<TensorsByName> tensors = ResizedTensors(
      *this, {.input = PositionEmbeddingsPath()}, num_positions,
      [this](const Module& owner, absl::string_view name,
             const at::Tensor& added) { DrawRowsOf(owner, name, added); });
  if (!tensors.ok()) return tensors.status();
  status = ReplaceTensors(*tensors);
  if (!status.ok()) return status;
  for (const auto& [unused, model] : ModelsBelow()) {
    model->config_.Set("max_position_embeddings", num_positions);
    model->TakeNumPositions(num_positions);
  }
  return absl::OkStatus();
}

Module* PretrainedModel::get_input_embeddings() {
  return FindModule(*this, InputEmbeddingsPath());
}

Module* PretrainedModel::get_output_embeddings() {
  const std::string path = OutputEmbeddingsPath();
  return path.empty() ? nullptr : FindModule(*this, path);
}

Module* PretrainedModel::get_position_embeddings() {
  const std::string path = PositionEmbeddingsPath();
  return path.empty() ? nullptr : FindModule(*this, path);
}

absl::Status PretrainedModel::set_input_embeddings(at::Tensor weight) {
  const Module* input = get_input_embeddings();
  const std::string name = JoinPath(InputEmbeddingsPath(), "weight");
  absl::Status status =
      CheckReplacement(name, input->parameter("weight"), weight);
  if (!status.ok()) return status;
  return ReplaceTensor(name, std::move(weight));
}

absl::Status PretrainedModel::set_output_embeddings(at::Tensor weight,
                                                    at::Tensor bias) {
  const Module* output = get_output_embeddings();
  if (output == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat(class_name(), " makes no scores of tokens"));
  }
  const std::string path = OutputEmbeddingsPath();
  if (output->parameter("weight").is_same(
          get_input_embeddings()->parameter("weight"))) {
    return absl::FailedPreconditionError(
        absl::StrCat(path,
                     ".weight is the input embeddings'; load the model with "
                     "tie_word_embeddings=false, or set the input embeddings"));
  }
  TensorsByName tensors;
  absl::Status status = CheckReplacement(JoinPath(path, "weight"),
                                         output->parameter("weight"), weight);
  if (!status.ok()) return status;
  tensors[JoinPath(path, "weight")] = std::move(weight);
  if (bias.defined()) {
    if (!output->has_parameter("bias")) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ".bias: ", path, " has no bias"));
    }
    status = CheckReplacement(JoinPath(path, "bias"), output->parameter("bias"),
                              bias);
    if (!status.ok()) return status;
    tensors[JoinPath(path, "bias")] = std::move(bias);
  }
  return ReplaceTensors(tensors);
}

}  // namespace pretrained
