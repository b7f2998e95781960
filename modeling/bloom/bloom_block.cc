#include "modeling/bloom/bloom_block.h"

#include <cmath>
#include <cstdint>
#include <memory>
#include <utility>

#include "ATen/ATen.h"
#include "device_map/module_tree.h"
#include "modeling/attention.h"
#include "modeling/bloom/bloom_config.h"
#include "modeling/key_value_store.h"
#include "modeling/layers.h"
#include "modeling/module.h"

namespace pretrained {
namespace {

// The last matrix of a part of the block, and what is added to it. Where the
// peer adds up a product of slices, it leaves the bias out.
at::Tensor Finish(Linear& linear, bool drops_bias, const at::Tensor& x,
                  double dropout, bool is_training,
                  const at::Tensor& residual) {
  at::Tensor made = drops_bias ? linear.WithoutBias(x) : linear(x);
  if (is_training) made = at::dropout(made, dropout, /*train=*/true);
  return residual + made;
}

}  // namespace

BloomAttention::BloomAttention(const ModuleNode& node,
                               const ModuleOptions& options,
                               const BloomConfig& config)
    : CallableModule(node, options),
      head_size_(config.head_size()),
      drops_bias_(config.drops_bias()),
      hidden_dropout_(config.hidden_dropout),
      query_key_value_(AddChild<Linear>(node, "query_key_value", options)),
      dense_(AddChild<Linear>(node, "dense", options)),
      dropout_(AddChild<Dropout>(node, "attention_dropout", options,
                                 config.attention_dropout)) {}

BloomBlockResult BloomAttention::Forward(const BloomBlockArguments& arguments) {
  const int64_t size = head_size_;
  const at::Tensor heads =
      SplitHeads((*query_key_value_)(arguments.hidden_states), 3 * size);
  at::Tensor key = heads.narrow(-1, size, size);
  at::Tensor value = heads.narrow(-1, 2 * size, size);
  AppendToCache(arguments.past, arguments.store, key, value);
  AttentionResult attended =
      Attend({.query = heads.narrow(-1, 0, size),
              .key = key,
              .value = value,
              .bias = arguments.bias,
              .head_mask = arguments.head_mask,
              .scale = 1.0 / std::sqrt(static_cast<double>(size)),
              .dropout_probability = dropout_->active_probability(),
              .softmax_in_float32 = true,
              .need_probabilities = arguments.output_attentions,
              .always_fused = is_always_fused()});
  BloomBlockResult result;
  result.hidden_states =
      Finish(*dense_, drops_bias_, MergeHeads(attended.context),
             hidden_dropout_, is_training(), arguments.residual);
  if (arguments.output_attentions) {
    result.attention = std::move(attended.probabilities);
  }
  if (arguments.use_cache) result.present = {std::move(key), std::move(value)};
  return result;
}

BloomFeedForward::BloomFeedForward(const ModuleNode& node,
                                   const ModuleOptions& options,
                                   const BloomConfig& config)
    : CallableModule(node, options),
      drops_bias_(config.drops_bias()),
      hidden_dropout_(config.hidden_dropout),
      up_(AddChild<Linear>(node, "dense_h_to_4h", options)),
      activation_(AddChild<Activation>(node, "gelu_impl", options,
                                       "gelu_pytorch_tanh")),
      down_(AddChild<Linear>(node, "dense_4h_to_h", options)) {}

OneTensor BloomFeedForward::Forward(
    const BloomFeedForwardArguments& arguments) {
  const at::Tensor inner = (*activation_)((*up_)(arguments.hidden_states));
  return {Finish(*down_, drops_bias_, inner, hidden_dropout_, is_training(),
                 arguments.residual)};
}

BloomBlock::BloomBlock(const ModuleNode& node, const ModuleOptions& options,
                       const BloomConfig& config)
    : CheckpointedBlock(node, options),
      residual_after_norm_(config.apply_residual_connection_post_layernorm),
      input_norm_(AddChild<LayerNorm>(node, "input_layernorm", options,
                                      config.layer_norm_epsilon)),
      attention_(
          AddChild<BloomAttention>(node, "self_attention", options, config)),
      middle_norm_(AddChild<LayerNorm>(node, "post_attention_layernorm",
                                       options, config.layer_norm_epsilon)),
      feed_forward_(AddChild<BloomFeedForward>(node, "mlp", options, config)) {}

BloomBlockResult BloomBlock::Forward(const BloomBlockArguments& arguments) {
  const at::Tensor& x = arguments.hidden_states;
  BloomBlockArguments normed = arguments;
  normed.hidden_states = (*input_norm_)(x);
  normed.residual = residual_after_norm_ ? normed.hidden_states : x;
  BloomBlockResult result = attention_->Call(std::move(normed));
  const at::Tensor middle = (*middle_norm_)(result.hidden_states);
  result.hidden_states =
      feed_forward_
          ->Call({middle, residual_after_norm_ ? middle : result.hidden_states})
          .value;
  return result;
}

}  // namespace pretrained
