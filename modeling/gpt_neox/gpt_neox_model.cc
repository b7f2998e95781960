#include "modeling/gpt_neox/gpt_neox_model.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "ATen/core/grad_mode.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "device_map/module_tree.h"
#include "modeling/attention_mask.h"
#include "modeling/auto_model.h"
#include "modeling/catch_torch.h"
#include "modeling/causal_mask.h"
#include "modeling/gpt_neox/gpt_neox_layout.h"
#include "modeling/gradient_checkpointing.h"
#include "modeling/head_pruning.h"
#include "modeling/key_value_store.h"
#include "modeling/named_inputs.h"
#include "modeling/weight_init.h"

namespace pretrained {

GPTNeoXModel::GPTNeoXModel(PretrainedConfig config, const GPTNeoXConfig& neox,
                           ModelLayout layout, const ModuleOptions& options)
    : PretrainedModel(std::move(config), std::move(layout), options),
      neox_(neox) {
  const ModuleNode& root = this->layout().tree.root;
  embed_in_ = AddChild<Embedding>(root, "embed_in", options);
  emb_dropout_ =
      AddChild<Dropout>(root, "emb_dropout", options, neox_.hidden_dropout);
  auto holder = AddChild<Container>(root, "layers", options);
  const ModuleNode& layers = root.child("layers");
  auto rotary_state = std::make_shared<RotaryState>();
  for (int64_t i = 0; i < neox_.num_hidden_layers; ++i) {
    layers_.push_back(holder->Add<GPTNeoXLayer>(layers, absl::StrCat(i),
                                                options, neox_, rotary_state));
  }
  final_layer_norm_ = AddChild<LayerNorm>(root, "final_layer_norm", options,
                                          neox_.layer_norm_eps);
}

absl::Status GPTNeoXModel::SetMask(const GPTNeoXModelInputs& inputs,
                                   const GPTNeoXInputSizes& sizes,
                                   GPTNeoXLayerArguments& arguments) const {
  at::Tensor mask = inputs.attention_mask;
  // Looking at it would make another device wait.
  if (mask.defined() && mask.is_cpu() && mask.eq(1).all().item().toBool()) {
    mask = at::Tensor();
  }
  const bool drops = is_training() && neox_.attention_dropout > 0;
  const bool fused =
      !arguments.output_attentions && !inputs.head_mask.defined() && !drops;
  if (fused && !mask.defined() && sizes.cached == 0) {
    arguments.is_causal = sizes.tokens > 1;
    return absl::OkStatus();
  }
  const at::Tensor& states = arguments.hidden_states;
  const at::ScalarType type = states.scalar_type();
  const bool half = type == at::kHalf || type == at::kBFloat16;
  if (mask.defined()) {
    mask = mask.reshape({sizes.batch, -1})
               .expand({-1, sizes.cached + sizes.tokens});
  }
  // Scores of half models are float32's (GPTNeoXAttention).
  absl::StatusOr<at::Tensor> bias =
      CausalBias(mask, {.query_length = sizes.tokens,
                        .past_length = sizes.cached,
                        .dtype = half ? at::kFloat : type,
                        .device = states.device()});
  if (!bias.ok()) return bias.status();
  arguments.bias = *std::move(bias);
  return absl::OkStatus();
}

absl::StatusOr<GPTNeoXModel::Prepared> GPTNeoXModel::Prepare(
    const GPTNeoXModelInputs& inputs, const GPTNeoXInputSizes& sizes,
    const ForwardOptions& options) {
  Prepared prepared;
  GPTNeoXLayerArguments& shared = prepared.shared;
  shared.output_attentions =
      options.output_attentions.value_or(neox_.output_attentions);
  shared.use_cache =
      MayUseCache(options.use_cache.value_or(neox_.use_cache), layers_);
  shared.hidden_states = (*emb_dropout_)(inputs.input_ids.defined()
                                             ? (*embed_in_)(inputs.input_ids)
                                             : inputs.inputs_embeds);
  const at::ScalarType type = shared.hidden_states.scalar_type();
  absl::Status status = SetMask(inputs, sizes, shared);
  if (!status.ok()) return status;
  absl::StatusOr<std::vector<at::Tensor>> head_mask =
      ExpandHeadMask(inputs.head_mask, neox_.num_hidden_layers, type,
                     /*is_attention_chunked=*/false, neox_.num_attention_heads);
  if (!head_mask.ok()) return head_mask.status();
  prepared.head_mask =
      OfHeadsLeft(*head_mask, neox_.pruned_heads, neox_.num_attention_heads);
  prepared.positions = {.ids = inputs.position_ids,
                        .first = sizes.cached,
                        .count = sizes.tokens,
                        .length = sizes.cached + sizes.tokens};
  at::Tensor& ids = prepared.positions.ids;
  if (ids.defined()) ids = ids.reshape({-1, sizes.tokens});
  return prepared;
}

absl::StatusOr<BaseModelOutput> GPTNeoXModel::Forward(
    const GPTNeoXModelInputs& inputs, const ForwardOptions& options) {
  return CatchTorch(class_name(), [&]() -> absl::StatusOr<BaseModelOutput> {
    absl::StatusOr<GPTNeoXInputSizes> sizes = CheckGPTNeoXInputs(
        neox_, embed_in_->parameter("weight").size(0), inputs);
    if (!sizes.ok()) return sizes.status();
    if (!options.only_last_logits) {  // Generate() looked.
      WarnIfPaddingAndNoAttentionMask(inputs.input_ids, inputs.attention_mask);
    }
    absl::StatusOr<Prepared> prepared = Prepare(inputs, *sizes, options);
    if (!prepared.ok()) return prepared.status();
    GPTNeoXLayerArguments& arguments = prepared->shared;
    const bool keep_states =
        options.output_hidden_states.value_or(neox_.output_hidden_states);
    BaseModelOutput output;
    for (size_t i = 0; i < layers_.size(); ++i) {
      if (keep_states) output.hidden_states.push_back(arguments.hidden_states);
      arguments.head_mask = prepared->head_mask[i];
      arguments.rotary = layers_[i]->attention().rotary().At(
          prepared->positions, arguments.hidden_states.scalar_type());
      if (!inputs.past_key_values.empty()) {
        arguments.past = inputs.past_key_values[i];
      }
      if (arguments.use_cache) {
        arguments.store = StoreOfLayer(options.key_value_store, i);
      }
      GPTNeoXLayerResult result = layers_[i]->Call(arguments);
      arguments.hidden_states = std::move(result.hidden_states);
      if (arguments.output_attentions) {
        output.attentions.push_back(std::move(result.attention));
      }
      if (arguments.use_cache) {
        output.past_key_values.push_back(std::move(result.present));
      }
    }
    output.last_hidden_state = (*final_layer_norm_)(arguments.hidden_states);
    if (keep_states) output.hidden_states.push_back(output.last_hidden_state);
    return output;
  });
}

absl::StatusOr<ModelOutput> GPTNeoXModel::Call(const NamedTensors& inputs,
                                               const ForwardOptions& options) {
  GPTNeoXModelInputs arguments;
  NamedInputs named(class_name(), inputs);
  TakeGPTNeoXInputs({}, named, arguments);
  absl::Status status = named.Finish();
  if (!status.ok()) return status;
  absl::StatusOr<BaseModelOutput> output = Forward(arguments, options);
  if (!output.ok()) return output.status();
  return output->ToNamed();
}

std::optional<AttentionHeads> GPTNeoXModel::attention_heads() const {
  const int64_t size = neox_.head_size();
  return AttentionHeads{
      .num_layers = neox_.num_hidden_layers,
      .num_heads = neox_.num_attention_heads,
      .pruned = neox_.pruned_heads,
      .projections = [size](int64_t layer) {
        const std::string path = absl::StrCat("layers.", layer, ".attention.");
        // Of each head in turn, its query, its key, its value.
        return std::vector<HeadProjection>{
            {path + "query_key_value", 3 * size},
            {path + "dense", size, HeadProjection::Side::kInputs}};
      }};
}

void GPTNeoXModel::InitializeTensor(const TensorToInitialize& target) const {
  if (dynamic_cast<const RotaryEmbedding*>(&target.owner) != nullptr) {
    at::NoGradGuard no_grad;
    target.tensor.copy_(
        RotaryFrequencies(neox_.rotary, 0, target.tensor.device()));
    return;
  }
  InitializeNormal(target, neox_.initializer_range);
}

const ModelClass& GPTNeoXModel::Class() {
  static const ModelClass* const model_class = new ModelClass(
      MakeModelClass<GPTNeoXModel, GPTNeoXConfig>(GPTNeoXModelLayoutClass()));
  return *model_class;
}

namespace {

[[maybe_unused]] const bool kRegistered =
    RegisterModel(&GPTNeoXModel::Class()) &&
    RegisterForAutoClass(AutoTask::kBase, "gpt_neox", "GPTNeoXModel");

}  // namespace

}  // namespace pretrained
