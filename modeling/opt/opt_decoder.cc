#include "modeling/opt/opt_decoder.h"

#include <cmath>
#include <cstdint>
#include <memory>
#include <utility>

#include "ATen/ATen.h"
#include "absl/strings/str_cat.h"
#include "device_map/module_tree.h"
#include "modeling/attention.h"
#include "modeling/gradient_checkpointing.h"
#include "modeling/key_value_store.h"
#include "modeling/layers.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/opt/opt_config.h"

namespace pretrained {
namespace {

constexpr double kNormEps = 1e-5;  // torch's; the config has none.

}  // namespace

OPTAttention::OPTAttention(const ModuleNode& node, const ModuleOptions& options,
                           const OPTConfig& config)
    : CallableModule(node, options),
      head_size_(config.head_size()),
      dropout_(config.attention_dropout),
      key_(AddChild<Linear>(node, "k_proj", options)),
      value_(AddChild<Linear>(node, "v_proj", options)),
      query_(AddChild<Linear>(node, "q_proj", options)),
      output_(AddChild<Linear>(node, "out_proj", options)) {}

OPTLayerResult OPTAttention::Forward(const OPTLayerArguments& arguments) {
  const at::Tensor& x = arguments.hidden_states;
  const double scale = 1.0 / std::sqrt(static_cast<double>(head_size_));
  at::Tensor key = SplitHeads((*key_)(x), head_size_);
  at::Tensor value = SplitHeads((*value_)(x), head_size_);
  AppendToCache(arguments.past, arguments.store, key, value);
  AttentionResult attended =
      Attend({.query = SplitHeads((*query_)(x)*scale, head_size_),
              .key = key,
              .value = value,
              .bias = arguments.bias,
              .is_causal = arguments.is_causal,
              .head_mask = arguments.head_mask,
              .dropout_probability = is_training() ? dropout_ : 0.0,
              .softmax_in_float32 = true,
              .need_probabilities = arguments.output_attentions,
              .always_fused = is_always_fused()});
  OPTLayerResult result{.hidden_states =
                            (*output_)(MergeHeads(attended.context))};
  if (arguments.output_attentions) {
    result.attention = std::move(attended.probabilities);
  }
  if (arguments.use_cache) result.present = {std::move(key), std::move(value)};
  return result;
}

OPTDecoderLayer::OPTDecoderLayer(const ModuleNode& node,
                                 const ModuleOptions& options,
                                 const OPTConfig& config)
    : CheckpointedBlock(node, options),
      norm_before_(config.do_layer_norm_before),
      dropout_(config.dropout),
      attention_(AddChild<OPTAttention>(node, "self_attn", options, config)),
      activation_(AddChild<Activation>(node, "activation_fn", options,
                                       config.activation_function)),
      attention_norm_(
          AddChild<LayerNorm>(node, "self_attn_layer_norm", options, kNormEps)),
      fc1_(AddChild<Linear>(node, "fc1", options)),
      fc2_(AddChild<Linear>(node, "fc2", options)),
      final_norm_(
          AddChild<LayerNorm>(node, "final_layer_norm", options, kNormEps)) {}

at::Tensor OPTDecoderLayer::Drop(const at::Tensor& x) const {
  return is_training() ? at::dropout(x, dropout_, /*train=*/true) : x;
}

OPTLayerResult OPTDecoderLayer::Forward(const OPTLayerArguments& arguments) {
  at::Tensor states = arguments.hidden_states;
  OPTLayerArguments inner = arguments;
  if (norm_before_) inner.hidden_states = (*attention_norm_)(states);
  OPTLayerResult result = attention_->Call(std::move(inner));
  states = states + Drop(result.hidden_states);
  if (!norm_before_) states = (*attention_norm_)(states);
  const at::Tensor normed = norm_before_ ? (*final_norm_)(states) : states;
  states = states + Drop((*fc2_)((*activation_)((*fc1_)(normed))));
  result.hidden_states = norm_before_ ? states : (*final_norm_)(states);
  return result;
}

OPTDecoder::OPTDecoder(const ModuleNode& node, const ModuleOptions& options,
                       const OPTConfig& config)
    : CallableModule(node, options), layerdrop_(config.layerdrop) {
  embed_tokens_ =
      AddChild<Embedding>(node, "embed_tokens", options, config.pad_token_id);
  embed_positions_ = AddChild<Embedding>(node, "embed_positions", options);
  if (config.has_projections()) {
    project_out_ = AddChild<Linear>(node, "project_out", options);
    project_in_ = AddChild<Linear>(node, "project_in", options);
  }
  if (config.has_final_layer_norm()) {
    final_layer_norm_ =
        AddChild<LayerNorm>(node, "final_layer_norm", options, kNormEps);
  }
  auto list = AddChild<Container>(node, "layers", options);
  const ModuleNode& layers = node.child("layers");
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    layers_.push_back(
        list->Add<OPTDecoderLayer>(layers, absl::StrCat(i), options, config));
  }
}

at::Tensor OPTDecoder::Embed(const OPTDecoderArguments& arguments) {
  at::Tensor states = arguments.input_ids.defined()
                          ? (*embed_tokens_)(arguments.input_ids)
                          : arguments.inputs_embeds;
  if (project_in_ != nullptr) states = (*project_in_)(states);
  return states + (*embed_positions_)(arguments.position_rows);
}

bool OPTDecoder::SkipsLayer() const {
  return is_training() && layerdrop_ > 0 &&
         at::rand({}).item<double>() < layerdrop_;
}

OPTDecoderResult OPTDecoder::Forward(const OPTDecoderArguments& arguments) {
  OPTDecoderResult result;
  BaseModelOutput& output = result.output;
  const bool use_cache = MayUseCache(arguments.use_cache, layers_);
  at::Tensor states = Embed(arguments);
  for (size_t i = 0; i < layers_.size(); ++i) {
    if (arguments.output_hidden_states) output.hidden_states.push_back(states);
    if (SkipsLayer()) continue;
    OPTLayerArguments layer{.hidden_states = std::move(states),
                            .bias = arguments.bias,
                            .is_causal = arguments.is_causal,
                            .output_attentions = arguments.output_attentions,
                            .use_cache = use_cache};
    if (!arguments.head_mask.empty()) layer.head_mask = arguments.head_mask[i];
    if (!arguments.past.empty()) layer.past = arguments.past[i];
    if (use_cache) layer.store = StoreOfLayer(arguments.store, i);
    OPTLayerResult done = layers_[i]->Call(std::move(layer));
    states = std::move(done.hidden_states);
    if (use_cache) {
      output.past_key_values.push_back(std::move(done.present));
    }
    if (arguments.output_attentions) {
      output.attentions.push_back(std::move(done.attention));
    }
  }
  if (final_layer_norm_ != nullptr) states = (*final_layer_norm_)(states);
  if (project_out_ != nullptr) states = (*project_out_)(states);
  output.last_hidden_state = states;
  if (arguments.output_hidden_states) output.hidden_states.push_back(states);
  return result;
}

}  // namespace pretrained
