#include "modeling/distilbert/distilbert_model.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "device_map/module_tree.h"
#include "modeling/attention_mask.h"
#include "modeling/auto_model.h"
#include "modeling/catch_torch.h"
#include "modeling/distilbert/distilbert_layout.h"
#include "modeling/head_pruning.h"
#include "modeling/layers.h"
#include "modeling/named_inputs.h"
#include "modeling/weight_init.h"

namespace pretrained {
namespace {

// What is added to scores: [b, 1, 1, s]. What is not zero shows, fractions too.
absl::StatusOr<at::Tensor> MaskBias(const at::Tensor& mask,
                                    at::ScalarType type) {
  if (!mask.defined()) return at::Tensor();
  return ExtendedAttentionMask(mask.ne(0),
                               {.dtype = type, .query_length = mask.size(1)});
}

}  // namespace

DistilBertModel::DistilBertModel(PretrainedConfig config,
                                 const DistilBertConfig& distil,
                                 ModelLayout layout,
                                 const ModuleOptions& options)
    : PretrainedModel(std::move(config), std::move(layout), options),
      distil_(distil) {
  const ModuleNode& root = this->layout().tree.root;
  embeddings_ =
      AddChild<DistilBertEmbeddings>(root, "embeddings", options, distil_);
  const ModuleNode& transformer = root.child("transformer");
  auto layers = AddChild<Container>(root, "transformer", options)
                    ->Add<Container>(transformer, "layer", options);
  for (int64_t i = 0; i < distil_.n_layers; ++i) {
    blocks_.push_back(layers->Add<DistilBertBlock>(
        transformer.child("layer"), absl::StrCat(i), options, distil_));
  }
}

absl::StatusOr<BaseModelOutput> DistilBertModel::Forward(
    const DistilBertModelInputs& inputs, const ForwardOptions& options) {
  return CatchTorch(class_name(), [&]() -> absl::StatusOr<BaseModelOutput> {
    absl::Status status = CheckDistilBertInputs(distil_, inputs);
    if (!status.ok()) return status;
    const at::ScalarType type =
        embeddings_->word_embeddings().parameter("weight").scalar_type();
    absl::StatusOr<at::Tensor> bias = MaskBias(inputs.attention_mask, type);
    if (!bias.ok()) return bias.status();
    absl::StatusOr<std::vector<at::Tensor>> head_mask =
        ExpandHeadMask(inputs.head_mask, distil_.n_layers, type);
    if (!head_mask.ok()) return head_mask.status();
    const bool keep_attentions =
        options.output_attentions.value_or(distil_.output_attentions);
    const bool keep_states =
        options.output_hidden_states.value_or(distil_.output_hidden_states);
    BaseModelOutput output;
    at::Tensor states =
        embeddings_->Call({inputs.input_ids, inputs.inputs_embeds}).value;
    for (size_t i = 0; i < blocks_.size(); ++i) {
      if (keep_states) output.hidden_states.push_back(states);
      DistilBertBlockResult result =
          blocks_[i]->Call({.hidden_states = std::move(states),
                            .attention_mask = *bias,
                            .head_mask = (*head_mask)[i],
                            .need_probabilities = keep_attentions});
      states = std::move(result.hidden_states);
      if (keep_attentions) {
        output.attentions.push_back(std::move(result.attention));
      }
    }
    if (keep_states) output.hidden_states.push_back(states);
    output.last_hidden_state = std::move(states);
    return output;
  });
}

absl::StatusOr<ModelOutput> DistilBertModel::Call(
    const NamedTensors& inputs, const ForwardOptions& options) {
  DistilBertModelInputs arguments;
  NamedInputs named(class_name(), inputs);
  TakeDistilBertInputs(named, arguments);
  absl::Status status = named.Finish();
  if (!status.ok()) return status;
  absl::StatusOr<BaseModelOutput> output = Forward(arguments, options);
  if (!output.ok()) return output.status();
  return output->ToNamed();
}

absl::Status DistilBertModel::PruneHeads(
    const std::map<int64_t, std::vector<int64_t>>& heads) {
  absl::StatusOr<std::map<int64_t, HeadsToPrune>> plan =
      PlanHeadPruning(heads, distil_.n_layers, distil_.n_heads,
                      distil_.head_size(), distil_.pruned_heads);
  if (!plan.ok()) return plan.status();
  absl::Status status = CatchTorch("pruning heads", [&]() -> absl::Status {
    for (const auto& [layer, prune] : *plan) {
      blocks_[layer]->attention().PruneRows(prune.rows);
      distil_.pruned_heads[layer].insert(prune.heads.begin(),
                                         prune.heads.end());
    }
    return absl::OkStatus();
  });
  mutable_config().Set("pruned_heads", PrunedHeadsJson(distil_.pruned_heads));
  return status;
}

absl::Status DistilBertModel::ResizeTokenEmbeddings(
    int64_t num_tokens, std::optional<int64_t> pad_to_multiple_of) {
  absl::Status status =
      PretrainedModel::ResizeTokenEmbeddings(num_tokens, pad_to_multiple_of);
  if (!status.ok()) return status;
  absl::StatusOr<int64_t> rows = config().GetInt("vocab_size");
  if (!rows.ok()) return rows.status();
  distil_.vocab_size = *rows;  // What input ids are checked against.
  return absl::OkStatus();
}

void DistilBertModel::InitializeTensor(const TensorToInitialize& target) const {
  if (distil_.sinusoidal_pos_embds &&
      absl::EndsWith(target.name, "position_embeddings.weight")) {
    at::NoGradGuard no_grad;
    target.tensor.copy_(
        SinusoidalPositions(target.tensor.size(0), target.tensor.size(1)));
    return;
  }
  InitializeNormal(target, distil_.initializer_range);
}

const ModelClass& DistilBertModel::Class() {
  static const ModelClass* const model_class =
      new ModelClass(MakeModelClass<DistilBertModel, DistilBertConfig>(
          DistilBertModelLayoutClass()));
  return *model_class;
}

namespace {

[[maybe_unused]] const bool kRegistered =
    RegisterModel(&DistilBertModel::Class()) &&
    RegisterForAutoClass(AutoTask::kBase, "distilbert", "DistilBertModel");

}  // namespace

}  // namespace pretrained
