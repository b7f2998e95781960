#include "modeling/t5/t5_block.h"

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "ATen/core/Tensor.h"
#include "ATen/ops/isinf.h"
#include "device_map/module_tree.h"
#include "modeling/layers.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/t5/t5_attention.h"
#include "modeling/t5/t5_config.h"

namespace pretrained {
namespace {

// Sums that left the range of float16 come back into it, so that no NaN follows
// from them.
at::Tensor ClampHalf(const at::Tensor& hidden_states) {
  constexpr double kMax = 65504.0;
  constexpr double kMargin = 1000.0;
  if (hidden_states.scalar_type() != at::kHalf) return hidden_states;
  const bool overflows = !hidden_states.is_meta() &&
                         at::isinf(hidden_states).any().item().toBool();
  const double limit = overflows ? kMax - kMargin : kMax;
  return hidden_states.clamp(-limit, limit);
}

// Entry `index` of `past`; undefined where there is none.
at::Tensor Cached(const LayerCache& past, size_t index) {
  return index < past.size() ? past[index] : at::Tensor();
}

}  // namespace

T5Dense::T5Dense(const ModuleNode& node, const ModuleOptions& options,
                 const T5Config& config)
    : CallableModule(node, options) {
  if (config.is_gated_act) {
    wi_ = AddChild<Linear>(node, "wi_0", options);
    wi_1_ = AddChild<Linear>(node, "wi_1", options);
  } else {
    wi_ = AddChild<Linear>(node, "wi", options);
  }
  wo_ = AddChild<Linear>(node, "wo", options);
  dropout_ = AddChild<Dropout>(node, "dropout", options, config.dropout_rate);
  act_ = AddChild<Activation>(node, "act", options, config.dense_act_fn);
}

OneTensor T5Dense::Forward(const OneTensor& input) {
  at::Tensor hidden = (*act_)((*wi_)(input.value));
  if (wi_1_ != nullptr) hidden = hidden * (*wi_1_)(input.value);
  hidden = (*dropout_)(hidden);
  const at::ScalarType type = wo_->parameter("weight").scalar_type();
  if (type != at::kChar) hidden = hidden.to(type);
  return {(*wo_)(hidden)};
}

T5LayerFF::T5LayerFF(const ModuleNode& node, const ModuleOptions& options,
                     const T5Config& config)
    : CallableModule(node, options),
      dense_(AddChild<T5Dense>(node, "DenseReluDense", options, config)),
      layer_norm_(AddChild<RmsNorm>(node, "layer_norm", options,
                                    config.layer_norm_epsilon,
                                    RmsNorm::ResultDtype::kOfWeight)),
      dropout_(
          AddChild<Dropout>(node, "dropout", options, config.dropout_rate)) {}

OneTensor T5LayerFF::Forward(const OneTensor& input) {
  const at::Tensor forwarded =
      dense_->Call({(*layer_norm_)(input.value)}).value;
  // Becomes float32, and stays it to the end of the stack, where wo is.
  return {input.value + (*dropout_)(forwarded)};
}

T5LayerAttention::T5LayerAttention(const ModuleNode& node,
                                   const ModuleOptions& options,
                                   const T5Config& config, bool is_decoder)
    : CallableModule(node, options),
      attention_(AddChild<T5Attention>(node, node.children[0].name, options,
                                       config, is_decoder)),
      layer_norm_(AddChild<RmsNorm>(node, "layer_norm", options,
                                    config.layer_norm_epsilon,
                                    RmsNorm::ResultDtype::kOfWeight)),
      dropout_(
          AddChild<Dropout>(node, "dropout", options, config.dropout_rate)) {}

T5AttentionResult T5LayerAttention::Forward(
    const T5AttentionArguments& arguments) {
  T5AttentionArguments normed = arguments;
  normed.hidden_states = (*layer_norm_)(arguments.hidden_states);
  T5AttentionResult result = attention_->Call(std::move(normed));
  result.hidden_states =
      arguments.hidden_states + (*dropout_)(result.hidden_states);
  return result;
}

T5Block::T5Block(const ModuleNode& node, const ModuleOptions& options,
                 const T5Config& config, bool is_decoder)
    : CheckpointedBlock(node, options) {
  const ModuleNode& steps = node.child("layer");
  auto list = AddChild<Container>(node, "layer", options);
  self_attention_ =
      list->Add<T5LayerAttention>(steps, "0", options, config, is_decoder);
  if (is_decoder) {
    cross_attention_ =
        list->Add<T5LayerAttention>(steps, "1", options, config, is_decoder);
  }
  feed_forward_ =
      list->Add<T5LayerFF>(steps, steps.children.back().name, options, config);
}

T5BlockResult T5Block::Forward(const T5BlockArguments& arguments) {
  T5AttentionResult self =
      self_attention_->Call({.hidden_states = arguments.hidden_states,
                             .mask = arguments.attention_mask,
                             .position_bias = arguments.position_bias,
                             .head_mask = arguments.head_mask,
                             .past_key = Cached(arguments.past, 0),
                             .past_value = Cached(arguments.past, 1),
                             .store = arguments.store,
                             .heads_left = arguments.heads_left,
                             .output_attentions = arguments.output_attentions});
  T5BlockResult result{.present = {self.key, self.value},
                       .position_bias = self.position_bias,
                       .attention = self.probabilities};
  at::Tensor hidden_states = ClampHalf(self.hidden_states);
  if (cross_attention_ != nullptr &&
      arguments.encoder_hidden_states.defined()) {
    T5AttentionResult cross = cross_attention_->Call(
        {.hidden_states = hidden_states,
         .mask = arguments.encoder_attention_mask,
         .key_value_states = arguments.encoder_hidden_states,
         .position_bias = arguments.cross_position_bias,
         .head_mask = arguments.cross_attn_head_mask,
         .past_key = Cached(arguments.past, 2),
         .past_value = Cached(arguments.past, 3),
         .output_attentions = arguments.output_attentions});
    result.present.push_back(cross.key);
    result.present.push_back(cross.value);
    result.cross_position_bias = cross.position_bias;
    result.cross_attention = cross.probabilities;
    hidden_states = ClampHalf(cross.hidden_states);
  }
  result.hidden_states = ClampHalf(feed_forward_->Call({hidden_states}).value);
  return result;
}

}  // namespace pretrained
