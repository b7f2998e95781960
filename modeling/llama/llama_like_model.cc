#include "modeling/llama/llama_like_model.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "modeling/catch_torch.h"
#include "modeling/causal_mask.h"
#include "modeling/gradient_checkpointing.h"
#include "modeling/key_value_store.h"
#include "modeling/last_token.h"
#include "modeling/losses.h"
#include "modeling/named_inputs.h"
#include "modeling/rotary.h"
#include "modeling/weight_init.h"

namespace pretrained {
namespace {

const at::Tensor& MainInput(const LlamaModelInputs& inputs) {
  return inputs.input_ids.defined() ? inputs.input_ids : inputs.inputs_embeds;
}

bool IsHalf(at::ScalarType type) {
  return type == at::kHalf || type == at::kBFloat16;
}

// Puts in `arguments` what keeps queries from keys: a bias, or is_causal, or
// nothing where each query may see every key. `mask` may be undefined.
absl::Status SetMask(const at::Tensor& mask, const LlamaInputSizes& sizes,
                     std::optional<int64_t> window,
                     LlamaLayerArguments& arguments) {
  const at::Tensor& states = arguments.hidden_states;
  const at::ScalarType type = states.scalar_type();
  // The fused kernel adds in float32; float16's lowest value would not drown a
  // score there, as it does in float16.
  const bool fused = !arguments.output_attentions;
  CausalBiasOptions options{.query_length = sizes.tokens,
                            .past_length = sizes.cached,
                            .window = window,
                            .dtype = fused && IsHalf(type) ? at::kFloat : type,
                            .device = states.device()};
  at::Tensor attends;
  if (mask.defined()) attends = mask.to(states.device(), type).eq(1);
  // On the meta device there is nothing to look at.
  if (attends.defined() && !attends.is_meta() &&
      attends.all().item().toBool()) {
    attends = at::Tensor();
  }
  const bool sees_all = !window.has_value() || *window >= sizes.tokens - 1;
  if (!attends.defined() && fused && sizes.cached == 0 && sees_all) {
    arguments.is_causal = sizes.tokens > 1;
    return absl::OkStatus();
  }
  absl::StatusOr<at::Tensor> bias = CausalBias(attends, options);
  if (!bias.ok()) return bias.status();
  arguments.bias = *std::move(bias);
  return absl::OkStatus();
}

// Whether labels are [batch, tokens], as far as the inputs are well-formed.
absl::Status CheckCausalLabels(const LlamaHeadInputs& inputs) {
  const at::Tensor& main = MainInput(inputs);
  if (!main.defined() || main.dim() < 2) return absl::OkStatus();
  return CheckShape("labels", inputs.labels, {main.size(0), main.size(1)});
}

// Whether the last token of each row can be told, before any is computed.
absl::Status CheckRows(const LlamaModelInputs& inputs,
                       const LlamaConfig& config) {
  const at::Tensor& main = MainInput(inputs);
  if (config.pad_token_id.has_value() || !main.defined() || main.dim() < 2 ||
      main.size(0) <= 1) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat(inputs.input_ids.defined() ? "input_ids" : "inputs_embeds",
                   ": has ", main.size(0),
                   " rows, but without a pad_token_id in the config one is "
                   "expected; set it, or give one row at a time"));
}

// The base model's output as a head's, without logits.
HeadOutput HeadOutputOf(BaseModelOutput&& base) {
  HeadOutput output;
  output.past_key_values = std::move(base.past_key_values);
  output.hidden_states = std::move(base.hidden_states);
  output.attentions = std::move(base.attentions);
  return output;
}

}  // namespace

LlamaLikeModel::LlamaLikeModel(PretrainedConfig config,
                               const LlamaConfig& llama,
                               std::optional<int64_t> window,
                               ModelLayout layout, const ModuleOptions& options)
    : PretrainedModel(std::move(config), std::move(layout), options),
      llama_(llama),
      window_(window) {
  const ModuleNode& root = this->layout().tree.root;
  embed_tokens_ =
      AddChild<Embedding>(root, "embed_tokens", options, llama_.pad_token_id);
  auto holder = AddChild<Container>(root, "layers", options);
  const ModuleNode& layers = root.child("layers");
  auto rotary_state = std::make_shared<RotaryState>();
  for (int64_t i = 0; i < llama_.num_hidden_layers; ++i) {
    layers_.push_back(holder->Add<LlamaLayer>(layers, absl::StrCat(i), options,
                                              llama_, rotary_state));
  }
  norm_ = AddChild<RmsNorm>(root, "norm", options, llama_.rms_norm_eps,
                            RmsNorm::ResultDtype::kOfInput);
}

std::optional<AttentionHeads> LlamaLikeModel::attention_heads() const {
  const int64_t size = llama_.head_size();
  const int64_t group = llama_.group_size();
  return AttentionHeads{
      .num_layers = llama_.num_hidden_layers,
      .num_heads = llama_.num_attention_heads,
      .group_size = group,
      .pruned = llama_.pruned_heads,
      .projections = [size, group](int64_t layer) {
        const std::string path = absl::StrCat("layers.", layer, ".self_attn.");
        return std::vector<HeadProjection>{
            {path + "q_proj", size},
            {.module = path + "k_proj", .head_size = size, .shared_by = group},
            {.module = path + "v_proj", .head_size = size, .shared_by = group},
            {path + "o_proj", size, HeadProjection::Side::kInputs}};
      }};
}

absl::StatusOr<LlamaLayerArguments> LlamaLikeModel::Prepare(
    const LlamaModelInputs& inputs, const LlamaInputSizes& sizes,
    const ForwardOptions& options) {
  LlamaLayerArguments arguments;
  arguments.output_attentions =
      options.output_attentions.value_or(llama_.output_attentions);
  arguments.use_cache =
      MayUseCache(options.use_cache.value_or(llama_.use_cache), layers_);
  arguments.hidden_states = inputs.input_ids.defined()
                                ? (*embed_tokens_)(inputs.input_ids)
                                : inputs.inputs_embeds;
  absl::Status status =
      SetMask(inputs.attention_mask, sizes, window_, arguments);
  if (!status.ok()) return status;
  if (layers_.empty()) return arguments;
  RotaryPositions positions{.ids = inputs.position_ids,
                            .first = sizes.cached,
                            .count = sizes.tokens,
                            .length = sizes.cached + sizes.tokens};
  if (positions.ids.defined()) {
    positions.ids = positions.ids.reshape({-1, sizes.tokens});
  }
  // The same for all layers.
  arguments.rotary = layers_[0]->attention().rotary().At(
      positions, arguments.hidden_states.scalar_type());
  return arguments;
}

absl::StatusOr<BaseModelOutput> LlamaLikeModel::Forward(
    const LlamaModelInputs& inputs, const ForwardOptions& options) {
  return CatchTorch(class_name(), [&]() -> absl::StatusOr<BaseModelOutput> {
    absl::StatusOr<LlamaInputSizes> sizes = CheckLlamaInputs(
        llama_, embed_tokens_->parameter("weight").size(0), inputs);
    if (!sizes.ok()) return sizes.status();
    absl::StatusOr<LlamaLayerArguments> arguments =
        Prepare(inputs, *sizes, options);
    if (!arguments.ok()) return arguments.status();
    const bool keep_states =
        options.output_hidden_states.value_or(llama_.output_hidden_states);
    BaseModelOutput output;
    for (size_t i = 0; i < layers_.size(); ++i) {
      if (keep_states) {
        output.hidden_states.push_back(arguments->hidden_states);
      }
      if (!inputs.past_key_values.empty()) {
        arguments->past = inputs.past_key_values[i];
      }
      if (arguments->use_cache) {
        arguments->store = StoreOfLayer(options.key_value_store, i);
      }
      LlamaLayerResult result = layers_[i]->Call(*arguments);
      arguments->hidden_states = std::move(result.hidden_states);
      if (arguments->output_attentions) {
        output.attentions.push_back(std::move(result.attention));
      }
      if (arguments->use_cache) {
        output.past_key_values.push_back(std::move(result.present));
      }
    }
    output.last_hidden_state = (*norm_)(arguments->hidden_states);
    if (keep_states) output.hidden_states.push_back(output.last_hidden_state);
    return output;
  });
}

absl::StatusOr<ModelOutput> LlamaLikeModel::Call(
    const NamedTensors& inputs, const ForwardOptions& options) {
  absl::StatusOr<LlamaModelInputs> arguments =
      LlamaInputsByName(class_name(), inputs);
  if (!arguments.ok()) return arguments.status();
  absl::StatusOr<BaseModelOutput> output = Forward(*arguments, options);
  if (!output.ok()) return output.status();
  return output->ToNamed();
}

void LlamaLikeModel::InitializeTensor(const TensorToInitialize& target) const {
  InitializeNormal(target, llama_.initializer_range);
}

LlamaLikeForCausalLM::LlamaLikeForCausalLM(PretrainedConfig config,
                                           ModelLayout layout,
                                           const ModuleOptions& options,
                                           MakeLlamaLikeModel make_model)
    : PretrainedModel(std::move(config), std::move(layout), options) {
  model_ = register_module(
      "model",
      make_model(this->config(), SubmodelLayout(this->layout(), "model")));
  lm_head_ = AddChild<Linear>(this->layout().tree.root, "lm_head", options);
}

absl::StatusOr<HeadOutput> LlamaLikeForCausalLM::Forward(
    const LlamaHeadInputs& inputs, const ForwardOptions& options) {
  return CatchTorch(class_name(), [&]() -> absl::StatusOr<HeadOutput> {
    absl::Status status = CheckCausalLabels(inputs);
    if (!status.ok()) return status;
    absl::StatusOr<BaseModelOutput> base = model_->Forward(inputs, options);
    if (!base.ok()) return base.status();
    const at::Tensor states = StatesForLogits(base->last_hidden_state, options);
    const int64_t rows = lm_head_->parameter("weight").size(0);
    const int64_t slices = model_->llama_config().pretraining_tp;
    const int64_t counted = rows / slices * slices;
    const at::Tensor logits = counted == rows
                                  ? (*lm_head_)(states)
                                  : lm_head_->WithoutBias(states, counted);
    HeadOutput output = HeadOutputOf(*std::move(base));
    output.logits = logits.to(at::kFloat);
    if (inputs.labels.defined()) {
      absl::StatusOr<at::Tensor> loss =
          NextTokenLoss(output.logits, inputs.labels);
      if (!loss.ok()) return loss.status();
      output.loss = *std::move(loss);
    }
    return output;
  });
}

absl::StatusOr<ModelOutput> LlamaLikeForCausalLM::Call(
    const NamedTensors& inputs, const ForwardOptions& options) {
  absl::StatusOr<LlamaHeadInputs> arguments =
      LlamaHeadInputsByName(class_name(), inputs);
  if (!arguments.ok()) return arguments.status();
  absl::StatusOr<HeadOutput> output = Forward(*arguments, options);
  if (!output.ok()) return output.status();
  return output->ToNamed();
}

void LlamaLikeForCausalLM::InitializeTensor(
    const TensorToInitialize& target) const {
  model_->InitializeTensor(target);
}

LlamaLikeForSequenceClassification::LlamaLikeForSequenceClassification(
    PretrainedConfig config, ModelLayout layout, const ModuleOptions& options,
    MakeLlamaLikeModel make_model)
    : PretrainedModel(std::move(config), std::move(layout), options) {
  model_ = register_module(
      "model",
      make_model(this->config(), SubmodelLayout(this->layout(), "model")));
  score_ = AddChild<Linear>(this->layout().tree.root, "score", options);
}

absl::StatusOr<HeadOutput> LlamaLikeForSequenceClassification::Forward(
    const LlamaHeadInputs& inputs, const ForwardOptions& options) {
  return CatchTorch(class_name(), [&]() -> absl::StatusOr<HeadOutput> {
    const LlamaConfig& llama = model_->llama_config();
    absl::Status status = CheckRows(inputs, llama);
    if (!status.ok()) return status;
    absl::StatusOr<BaseModelOutput> base = model_->Forward(inputs, options);
    if (!base.ok()) return base.status();
    absl::StatusOr<at::Tensor> logits =
        LastTokenLogits((*score_)(base->last_hidden_state), inputs.input_ids,
                        llama.pad_token_id);
    if (!logits.ok()) return logits.status();
    HeadOutput output = HeadOutputOf(*std::move(base));
    output.logits = *std::move(logits);
    if (inputs.labels.defined()) {
      absl::StatusOr<at::Tensor> loss =
          SequenceLoss(output.logits, inputs.labels, output.logits.size(-1),
                       llama.problem_type);
      if (!loss.ok()) return loss.status();
      output.loss = *std::move(loss);
    }
    return output;
  });
}

absl::StatusOr<ModelOutput> LlamaLikeForSequenceClassification::Call(
    const NamedTensors& inputs, const ForwardOptions& options) {
  absl::StatusOr<LlamaHeadInputs> arguments =
      LlamaHeadInputsByName(class_name(), inputs);
  if (!arguments.ok()) return arguments.status();
  absl::StatusOr<HeadOutput> output = Forward(*arguments, options);
  if (!output.ok()) return output.status();
  return output->ToNamed();
}

void LlamaLikeForSequenceClassification::InitializeTensor(
    const TensorToInitialize& target) const {
  model_->InitializeTensor(target);
}

}  // namespace pretrained
