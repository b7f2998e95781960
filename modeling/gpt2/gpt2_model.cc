#include "modeling/gpt2/gpt2_model.h"

#include <cmath>
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
#include "modeling/causal_mask.h"
#include "modeling/gpt2/gpt2_layout.h"
#include "modeling/gradient_checkpointing.h"
#include "modeling/head_pruning.h"
#include "modeling/key_value_store.h"
#include "modeling/named_inputs.h"
#include "modeling/weight_init.h"

namespace pretrained {

GPT2Model::GPT2Model(PretrainedConfig config, const GPT2Config& gpt2,
                     ModelLayout layout, const ModuleOptions& options)
    : PretrainedModel(std::move(config), std::move(layout), options),
      gpt2_(gpt2) {
  const ModuleNode& root = this->layout().tree.root;
  wte_ = AddChild<Embedding>(root, "wte", options);
  wpe_ = AddChild<Embedding>(root, "wpe", options);
  drop_ = AddChild<Dropout>(root, "drop", options, gpt2_.embd_pdrop);
  auto list = AddChild<Container>(root, "h", options);
  const ModuleNode& list_node = root.child("h");
  for (int64_t i = 0; i < gpt2_.n_layer; ++i) {
    blocks_.push_back(list->Add<GPT2Block>(
        list_node, list_node.children[i].name, options, gpt2_, i));
  }
  ln_f_ = AddChild<LayerNorm>(root, "ln_f", options, gpt2_.layer_norm_epsilon);
}

absl::Status GPT2Model::SetMask(const GPT2ModelInputs& inputs,
                                GPT2BlockArguments& arguments) const {
  const at::Tensor& main =
      inputs.input_ids.defined() ? inputs.input_ids : inputs.inputs_embeds;
  const int64_t past = CachedLength(inputs.past_key_values);
  const int64_t length = main.size(1);
  at::Tensor mask = inputs.attention_mask;
  // Looking at it would make another device wait.
  if (mask.defined() && mask.is_cpu() && mask.eq(1).all().item().toBool()) {
    mask = at::Tensor();
  }
  const bool drops = is_training() && gpt2_.attn_pdrop > 0;
  const bool fused =
      !arguments.output_attentions && !inputs.head_mask.defined() && !drops;
  if (fused && !mask.defined() && past == 0) {
    arguments.is_causal = length > 1;
    return absl::OkStatus();
  }
  // The fused kernel adds up scores in float32, where the lowest value of a
  // half dtype would not drown them.
  const at::ScalarType type = wte_->parameter("weight").scalar_type();
  const bool half = type == at::kHalf || type == at::kBFloat16;
  const bool upcast = gpt2_.reorder_and_upcast_attn || (fused && half);
  if (mask.defined()) {
    mask = mask.reshape({main.size(0), -1}).expand({-1, past + length});
  }
  absl::StatusOr<at::Tensor> bias =
      CausalBias(mask, {.query_length = length,
                        .past_length = past,
                        .dtype = upcast ? at::kFloat : type,
                        .device = main.device()});
  if (!bias.ok()) return bias.status();
  arguments.bias = *std::move(bias);
  return absl::OkStatus();
}

absl::StatusOr<GPT2Model::Prepared> GPT2Model::Prepare(
    const GPT2ModelInputs& inputs, bool output_attentions) const {
  const at::ScalarType type = wte_->parameter("weight").scalar_type();
  Prepared prepared;
  prepared.shared.output_attentions = output_attentions;
  absl::Status status = SetMask(inputs, prepared.shared);
  if (!status.ok()) return status;
  prepared.shared.encoder_hidden_states = inputs.encoder_hidden_states;
  if (inputs.encoder_hidden_states.defined() &&
      inputs.encoder_attention_mask.defined()) {
    absl::StatusOr<at::Tensor> inverted =
        InvertAttentionMask(inputs.encoder_attention_mask, type);
    if (!inverted.ok()) return inverted.status();
    prepared.shared.encoder_bias = *std::move(inverted);
  }
  absl::StatusOr<std::vector<at::Tensor>> head_mask =
      ExpandHeadMask(inputs.head_mask, gpt2_.n_layer, type);
  if (!head_mask.ok()) return head_mask.status();
  prepared.head_mask =
      OfHeadsLeft(*head_mask, gpt2_.pruned_heads, gpt2_.n_head);
  return prepared;
}

at::Tensor GPT2Model::Embed(const GPT2ModelInputs& inputs) {
  const at::Tensor tokens = inputs.inputs_embeds.defined()
                                ? inputs.inputs_embeds
                                : (*wte_)(inputs.input_ids);
  at::Tensor position_ids = inputs.position_ids;
  if (!position_ids.defined()) {
    const int64_t past = CachedLength(inputs.past_key_values);
    position_ids = at::arange(past, past + tokens.size(1),
                              at::dtype(at::kLong).device(tokens.device()))
                       .unsqueeze(0);
  }
  at::Tensor states = tokens + (*wpe_)(position_ids);
  if (inputs.token_type_ids.defined()) {
    states = states + (*wte_)(inputs.token_type_ids);
  }
  return (*drop_)(states);
}

absl::StatusOr<BaseModelOutput> GPT2Model::Forward(
    const GPT2ModelInputs& inputs, const ForwardOptions& options) {
  return CatchTorch(class_name(), [&]() -> absl::StatusOr<BaseModelOutput> {
    const bool output_attentions =
        options.output_attentions.value_or(gpt2_.output_attentions);
    const bool output_hidden_states =
        options.output_hidden_states.value_or(gpt2_.output_hidden_states);
    const bool use_cache =
        MayUseCache(options.use_cache.value_or(gpt2_.use_cache), blocks_);
    absl::Status status = CheckGPT2Inputs(gpt2_, inputs, output_attentions);
    if (!status.ok()) return status;
    if (!options.only_last_logits) {  // Generate() looked.
      WarnIfPaddingAndNoAttentionMask(inputs.input_ids, inputs.attention_mask);
    }
    absl::StatusOr<Prepared> prepared = Prepare(inputs, output_attentions);
    if (!prepared.ok()) return prepared.status();
    BaseModelOutput output;
    at::Tensor states = Embed(inputs);
    for (size_t i = 0; i < blocks_.size(); ++i) {
      if (output_hidden_states) output.hidden_states.push_back(states);
      GPT2BlockArguments arguments = prepared->shared;
      arguments.hidden_states = std::move(states);
      arguments.head_mask = prepared->head_mask[i];
      if (!inputs.past_key_values.empty()) {
        arguments.past = inputs.past_key_values[i];
      }
      if (use_cache) {
        arguments.store = StoreOfLayer(options.key_value_store, i);
      }
      GPT2BlockResult block = blocks_[i]->Call(std::move(arguments));
      states = std::move(block.hidden_states);
      if (use_cache) {
        output.past_key_values.push_back(std::move(block.present));
      }
      if (!output_attentions) continue;
      output.attentions.push_back(std::move(block.attention));
      if (block.cross_attention.defined()) {
        output.cross_attentions.push_back(std::move(block.cross_attention));
      }
    }
    output.last_hidden_state = (*ln_f_)(states);
    if (output_hidden_states) {
      output.hidden_states.push_back(output.last_hidden_state);
    }
    return output;
  });
}

absl::StatusOr<ModelOutput> GPT2Model::Call(const NamedTensors& inputs,
                                            const ForwardOptions& options) {
  GPT2ModelInputs arguments;
  NamedInputs named(class_name(), inputs);
  TakeGPT2Inputs(named, arguments);
  absl::Status status = named.Finish();
  if (!status.ok()) return status;
  absl::StatusOr<BaseModelOutput> output = Forward(arguments, options);
  if (!output.ok()) return output.status();
  return output->ToNamed();
}

void GPT2Model::InitializeTensor(const TensorToInitialize& target) const {
  InitializeGPT2Tensor(gpt2_, target);
}

std::optional<AttentionHeads> GPT2Model::attention_heads() const {
  const int64_t size = gpt2_.head_size();
  return AttentionHeads{
      .num_layers = gpt2_.n_layer,
      .num_heads = gpt2_.n_head,
      .pruned = gpt2_.pruned_heads,
      .projections = [size](int64_t layer) {
        const std::string path = absl::StrCat("h.", layer, ".attn.");
        // All queries, then all keys, then all values.
        return std::vector<HeadProjection>{
            {.module = path + "c_attn", .head_size = size, .parts = 3},
            {path + "c_proj", size, HeadProjection::Side::kInputs}};
      }};
}

void InitializeGPT2Tensor(const GPT2Config& config,
                          const TensorToInitialize& target) {
  double deviation = config.initializer_range;
  // Two projections a layer add to the residual stream.
  if (absl::EndsWith(target.name, "c_proj.weight")) {
    deviation /= std::sqrt(2.0 * static_cast<double>(config.n_layer));
  }
  InitializeNormal(target, deviation);
}

const ModelClass& GPT2Model::Class() {
  static const ModelClass* const model_class = new ModelClass(
      MakeModelClass<GPT2Model, GPT2Config>(GPT2ModelLayoutClass()));
  return *model_class;
}

namespace {

const bool kRegistered =
    RegisterModel(&GPT2Model::Class()) &&
    RegisterForAutoClass(AutoTask::kBase, "gpt2", "GPT2Model");

}  // namespace

}  // namespace pretrained
