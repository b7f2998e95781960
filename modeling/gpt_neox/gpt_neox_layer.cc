#include "modeling/gpt_neox/gpt_neox_layer.h"

#include <cmath>
#include <cstdint>
#include <memory>
#include <utility>

#include "ATen/ATen.h"
#include "device_map/module_tree.h"
#include "modeling/attention.h"
#include "modeling/gpt_neox/gpt_neox_config.h"
#include "modeling/key_value_store.h"
#include "modeling/layers.h"
#include "modeling/module.h"
#include "modeling/rotary.h"

namespace pretrained {

GPTNeoXAttention::GPTNeoXAttention(const ModuleNode& node,
                                   const ModuleOptions& options,
                                   const GPTNeoXConfig& config,
                                   std::shared_ptr<RotaryState> state)
    : CallableModule(node, options),
      head_size_(config.head_size()),
      rotary_(AddChild<RotaryEmbedding>(node, "rotary_emb", options,
                                        config.rotary, std::move(state))),
      query_key_value_(AddChild<Linear>(node, "query_key_value", options)),
      dense_(AddChild<Linear>(node, "dense", options)),
      dropout_(AddChild<Dropout>(node, "attention_dropout", options,
                                 config.attention_dropout)) {}

void GPTNeoXAttention::ComputeBuffers(at::Device device) {
  SetOwnTensor("bias", at::ones(buffer("bias").sizes(),
                                at::dtype(at::kBool).device(device))
                           .tril());
  const at::ScalarType type = buffer("masked_bias").scalar_type();
  // Of float16 that is -infinity, which at::full() would refuse.
  SetOwnTensor(
      "masked_bias",
      at::full({}, -1e9, at::dtype(at::kFloat).device(device)).to(type));
}

GPTNeoXLayerResult GPTNeoXAttention::Forward(
    const GPTNeoXLayerArguments& arguments) {
  const at::Tensor& x = arguments.hidden_states;
  const int64_t size = head_size_;
  const at::Tensor heads = SplitHeads((*query_key_value_)(x), 3 * size);
  const at::Tensor query =
      ApplyRotary(heads.narrow(-1, 0, size), arguments.rotary);
  at::Tensor key = ApplyRotary(heads.narrow(-1, size, size), arguments.rotary);
  at::Tensor value = heads.narrow(-1, 2 * size, size);
  if (arguments.use_cache && arguments.past.empty() &&
      arguments.store == nullptr) {
    // A view would keep queries and keys in memory, too.
    value = value.contiguous();
  }
  AppendToCache(arguments.past, arguments.store, key, value);
  const at::ScalarType type = value.scalar_type();
  AttentionResult attended =
      Attend({.query = query,
              .key = key,
              .value = value.to(query.scalar_type()),
              .bias = arguments.bias,
              .is_causal = arguments.is_causal,
              .head_mask = arguments.head_mask,
              .scale = 1.0 / std::sqrt(static_cast<double>(size)),
              .dropout_probability = dropout_->active_probability(),
              .need_probabilities = arguments.output_attentions,
              .always_fused = is_always_fused()});
  GPTNeoXLayerResult result;
  result.hidden_states = (*dense_)(MergeHeads(attended.context.to(type)));
  if (arguments.output_attentions) {
    result.attention = attended.probabilities.to(type);
  }
  if (arguments.use_cache) result.present = {std::move(key), std::move(value)};
  return result;
}

GPTNeoXFeedForward::GPTNeoXFeedForward(const ModuleNode& node,
                                       const ModuleOptions& options,
                                       const GPTNeoXConfig& config)
    : CallableModule(node, options),
      up_(AddChild<Linear>(node, "dense_h_to_4h", options)),
      down_(AddChild<Linear>(node, "dense_4h_to_h", options)),
      activation_(
          AddChild<Activation>(node, "act", options, config.hidden_act)) {}

OneTensor GPTNeoXFeedForward::Forward(const OneTensor& input) {
  return {(*down_)((*activation_)((*up_)(input.value)))};
}

GPTNeoXLayer::GPTNeoXLayer(const ModuleNode& node, const ModuleOptions& options,
                           const GPTNeoXConfig& config,
                           std::shared_ptr<RotaryState> state)
    : CheckpointedBlock(node, options),
      is_parallel_(config.use_parallel_residual),
      input_norm_(AddChild<LayerNorm>(node, "input_layernorm", options,
                                      config.layer_norm_eps)),
      middle_norm_(AddChild<LayerNorm>(node, "post_attention_layernorm",
                                       options, config.layer_norm_eps)),
      attention_dropout_(AddChild<Dropout>(node, "post_attention_dropout",
                                           options, config.hidden_dropout)),
      feed_forward_dropout_(AddChild<Dropout>(node, "post_mlp_dropout", options,
                                              config.hidden_dropout)),
      attention_(AddChild<GPTNeoXAttention>(node, "attention", options, config,
                                            std::move(state))),
      feed_forward_(
          AddChild<GPTNeoXFeedForward>(node, "mlp", options, config)) {}

GPTNeoXLayerResult GPTNeoXLayer::Forward(
    const GPTNeoXLayerArguments& arguments) {
  const at::Tensor& x = arguments.hidden_states;
  GPTNeoXLayerArguments normed = arguments;
  normed.hidden_states = (*input_norm_)(x);
  GPTNeoXLayerResult result = attention_->Call(std::move(normed));
  const at::Tensor attended = (*attention_dropout_)(result.hidden_states);
  const at::Tensor middle = attended + x;
  const at::Tensor made = (*feed_forward_dropout_)(
      feed_forward_->Call({(*middle_norm_)(is_parallel_ ? x : middle)}).value);
  result.hidden_states = made + middle;
  return result;
}

}  // namespace pretrained
