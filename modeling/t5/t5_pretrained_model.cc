#include "modeling/t5/t5_pretrained_model.h"

#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "ATen/core/grad_mode.h"
#include "ATen/ops/tensor.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "device_map/module_tree.h"
#include "modeling/attention_heads.h"
#include "modeling/layers.h"
#include "modeling/model_layout.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/pretrained_config.h"
#include "modeling/pretrained_model.h"
#include "modeling/seq2seq_output.h"
#include "modeling/t5/t5_config.h"
#include "modeling/t5/t5_inputs.h"
#include "modeling/t5/t5_stack.h"
#include "modeling/weight_init.h"

namespace pretrained {
namespace {

// The deviation of the matrix of the module called `name`, before
// initializer_factor: about what keeps the size of its results.
double StandardDeviation(absl::string_view name, const T5Config& t5) {
  const auto per_root = [](int64_t size) {
    return 1.0 / std::sqrt(static_cast<double>(size));
  };
  if (name == "q") return per_root(t5.d_model * t5.d_kv);  // Scales the scores.
  if (name == "o") return per_root(t5.inner_dim());
  if (name == "wo") return per_root(t5.d_ff);
  if (name == "k" || name == "v" || absl::StartsWith(name, "wi") ||
      name == "relative_attention_bias") {
    return per_root(t5.d_model);
  }
  return 1.0;  // shared, lm_head.
}

}  // namespace

T5PreTrainedModel::T5PreTrainedModel(PretrainedConfig config,
                                     const T5Config& t5, ModelLayout layout,
                                     const ModuleOptions& options,
                                     bool encoder_is_decoder)
    : PretrainedModel(std::move(config), std::move(layout), options), t5_(t5) {
  const ModuleNode& root = this->layout().tree.root;
  shared_ = AddChild<Embedding>(root, "shared", options);
  encoder_ = AddChild<T5Stack>(root, "encoder", options, t5_, shared_,
                               encoder_is_decoder);
  encoder_->SetPrunedHeads(t5_.pruned_heads);
}

void T5PreTrainedModel::InitializeTensor(
    const TensorToInitialize& target) const {
  at::NoGradGuard no_grad;
  if (dynamic_cast<const RmsNorm*>(&target.owner) != nullptr) {
    target.tensor.fill_(t5_.initializer_factor);
    return;
  }
  if (target.is_new_rows) {
    // The peer makes them with a module of torch's own, whose start T5 leaves.
    if (dynamic_cast<const Embedding*>(&target.owner) != nullptr) {
      target.tensor.normal_(0.0, 1.0, target.generator);
    } else {
      const double bound =
          1.0 / std::sqrt(static_cast<double>(target.tensor.size(1)));
      target.tensor.uniform_(-bound, bound, target.generator);
    }
    return;
  }
  absl::string_view module = target.name;
  absl::ConsumeSuffix(&module, ".weight");
  target.tensor.normal_(
      0.0, t5_.initializer_factor * StandardDeviation(LastPart(module), t5_),
      target.generator);
}

NamedTensors T5PreTrainedModel::dummy_inputs() const {
  const at::Tensor ids =
      PretrainedModel::dummy_inputs().find("input_ids")->second;
  return {{"input_ids", ids},
          {"decoder_input_ids", ids},
          {"decoder_attention_mask",
           at::tensor({1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1, 1}, at::kLong)
               .reshape({3, 5})}};
}

std::optional<AttentionHeads> T5PreTrainedModel::attention_heads() const {
  const int64_t size = t5_.d_kv;
  return AttentionHeads{
      .num_layers = t5_.num_layers,
      .num_heads = t5_.num_heads,
      .pruned = t5_.pruned_heads,
      .projections = [size](int64_t layer) {
        const std::string path =
            absl::StrCat("encoder.block.", layer, ".layer.0.SelfAttention.");
        return std::vector<HeadProjection>{
            {path + "q", size},
            {path + "k", size},
            {path + "v", size},
            {path + "o", size, HeadProjection::Side::kInputs}};
      }};
}

void T5PreTrainedModel::TakePrunedHeads(const PrunedHeads& pruned) {
  t5_.pruned_heads = pruned;
  encoder_->SetPrunedHeads(pruned);
}

absl::StatusOr<at::Tensor> T5PreTrainedModel::ShiftRight(
    const at::Tensor& labels) const {
  return pretrained::ShiftRight(t5_, labels);
}

absl::StatusOr<BaseModelOutput> T5PreTrainedModel::Encode(
    const T5EncoderInputs& inputs, const ForwardOptions& options) {
  absl::StatusOr<T5StackArguments> arguments =
      encoder_->Prepare({.input_ids = inputs.input_ids,
                         .inputs_embeds = inputs.inputs_embeds,
                         .attention_mask = inputs.attention_mask,
                         .head_mask = inputs.head_mask});
  if (!arguments.ok()) return arguments.status();
  arguments->output_attentions =
      options.output_attentions.value_or(t5_.output_attentions);
  arguments->output_hidden_states =
      options.output_hidden_states.value_or(t5_.output_hidden_states);
  return encoder_->Call(*std::move(arguments)).output;
}

T5EncoderDecoder::T5EncoderDecoder(PretrainedConfig config, const T5Config& t5,
                                   ModelLayout layout,
                                   const ModuleOptions& options)
    : T5PreTrainedModel(std::move(config), t5, std::move(layout), options,
                        /*encoder_is_decoder=*/false),
      decoder_(AddChild<T5Stack>(this->layout().tree.root, "decoder", options,
                                 t5, shared(), /*is_decoder=*/true)) {
  if (t5.shares_stacks()) decoder_->SetPrunedHeads(t5.pruned_heads);
}

void T5EncoderDecoder::TakePrunedHeads(const PrunedHeads& pruned) {
  T5PreTrainedModel::TakePrunedHeads(pruned);
  if (t5_config().shares_stacks()) decoder_->SetPrunedHeads(pruned);
}

absl::StatusOr<BaseModelOutput> T5EncoderDecoder::Decode(
    const T5Inputs& inputs, const at::Tensor& encoder_states,
    const ForwardOptions& options) {
  const T5Config& t5 = t5_config();
  at::Tensor head_mask = inputs.decoder_head_mask;
  if (!head_mask.defined() && t5.num_layers == t5.num_decoder_layers) {
    head_mask = inputs.head_mask;
  }
  absl::StatusOr<T5StackArguments> arguments =
      decoder_->Prepare({.input_ids = inputs.decoder_input_ids,
                         .inputs_embeds = inputs.decoder_inputs_embeds,
                         .attention_mask = inputs.decoder_attention_mask,
                         .head_mask = head_mask,
                         .cross_attn_head_mask = inputs.cross_attn_head_mask,
                         .encoder_hidden_states = encoder_states,
                         .encoder_attention_mask = inputs.attention_mask,
                         .past_key_values = inputs.past_key_values});
  if (!arguments.ok()) return arguments.status();
  arguments->output_attentions =
      options.output_attentions.value_or(t5.output_attentions);
  arguments->output_hidden_states =
      options.output_hidden_states.value_or(t5.output_hidden_states);
  arguments->use_cache = options.use_cache.value_or(t5.use_cache);
  arguments->store = options.key_value_store;
  return decoder_->Call(*std::move(arguments)).output;
}

absl::StatusOr<Seq2SeqOutput> T5EncoderDecoder::EncodeAndDecode(
    const T5Inputs& inputs, const ForwardOptions& options) {
  BaseModelOutput encoded = inputs.encoder_outputs;
  if (!encoded.last_hidden_state.defined()) {
    absl::StatusOr<BaseModelOutput> now =
        Encode({.input_ids = inputs.input_ids,
                .attention_mask = inputs.attention_mask,
                .head_mask = inputs.head_mask,
                .inputs_embeds = inputs.inputs_embeds},
               options);
    if (!now.ok()) return now.status();
    encoded = *std::move(now);
  }
  absl::StatusOr<BaseModelOutput> decoded =
      Decode(inputs, encoded.last_hidden_state, options);
  if (!decoded.ok()) return decoded.status();
  return Seq2SeqOutput{
      .last_hidden_state = std::move(decoded->last_hidden_state),
      .past_key_values = std::move(decoded->past_key_values),
      .decoder_hidden_states = std::move(decoded->hidden_states),
      .decoder_attentions = std::move(decoded->attentions),
      .cross_attentions = std::move(decoded->cross_attentions),
      .encoder_last_hidden_state = std::move(encoded.last_hidden_state),
      .encoder_hidden_states = std::move(encoded.hidden_states),
      .encoder_attentions = std::move(encoded.attentions)};
}

}  // namespace pretrained
