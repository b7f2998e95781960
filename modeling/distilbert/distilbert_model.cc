#include "modeling/distilbert/distilbert_model.h"

#include <cstddef>
#include <cstdint>
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
    const std::vector<at::Tensor> masks =
        OfHeadsLeft(*head_mask, distil_.pruned_heads, distil_.n_heads);
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
                            .head_mask = masks[i],
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

std::optional<AttentionHeads> DistilBertModel::attention_heads() const {
  const int64_t size = distil_.head_size();
  return AttentionHeads{
      .num_layers = distil_.n_layers,
      .num_heads = distil_.n_heads,
      .pruned = distil_.pruned_heads,
      .projections = [size](int64_t layer) {
        const std::string path =
            absl::StrCat("transformer.layer.", layer, ".attention.");
        return std::vector<HeadProjection>{
            {path + "q_lin", size},
            {path + "k_lin", size},
            {path + "v_lin", size},
            {path + "out_lin", size, HeadProjection::Side::kInputs}};
      }};
}

void DistilBertModel::TakeNumPositions(int64_t num_positions) {
  distil_.max_position_embeddings = num_positions;
  embeddings_->SetNumPositions(num_positions);
}

void DistilBertModel::InitializeTensor(const TensorToInitialize& target) const {
  if (distil_.sinusoidal_pos_embds &&
      absl::EndsWith(target.name, "position_embeddings.weight")) {
    at::NoGradGuard no_grad;
    const int64_t first =
        target.is_new_rows ? distil_.max_position_embeddings : 0;
    const int64_t rows = target.tensor.size(0);
    target.tensor.copy_(SinusoidalPositions(first + rows, target.tensor.size(1))
                            .narrow(0, first, rows));
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
