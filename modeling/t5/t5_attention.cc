#include "modeling/t5/t5_attention.h"

#include <cstdint>

#include "ATen/core/Tensor.h"
#include "ATen/ops/tensor.h"
#include "device_map/module_tree.h"
#include "modeling/attention.h"
#include "modeling/key_value_store.h"
#include "modeling/layers.h"
#include "modeling/module.h"
#include "modeling/relative_position_bias.h"
#include "modeling/t5/t5_config.h"

namespace pretrained {

T5Attention::T5Attention(const ModuleNode& node, const ModuleOptions& options,
                         const T5Config& config, bool is_decoder)
    : CallableModule(node, options),
      head_size_(config.d_kv),
      dropout_rate_(config.dropout_rate),
      positions_{.bidirectional = !is_decoder,
                 .num_buckets = config.relative_attention_num_buckets,
                 .max_distance = config.relative_attention_max_distance},
      q_(AddChild<Linear>(node, "q", options)),
      k_(AddChild<Linear>(node, "k", options)),
      v_(AddChild<Linear>(node, "v", options)),
      o_(AddChild<Linear>(node, "o", options)) {
  if (node.find_child("relative_attention_bias") != nullptr) {
    relative_attention_bias_ =
        AddChild<Embedding>(node, "relative_attention_bias", options);
  }
}

at::Tensor T5Attention::ProjectStates(Linear& projection,
                                      const at::Tensor& states,
                                      const at::Tensor& past) {
  // A cache of another length was made from other states, and is of no use.
  const bool is_cached = past.defined() && past.size(2) == states.size(1);
  return is_cached ? past : SplitHeads(projection(states), head_size_);
}

at::Tensor T5Attention::PositionBias(int64_t queries, int64_t keys,
                                     at::Device device,
                                     const at::Tensor& mask) {
  if (relative_attention_bias_ == nullptr) return mask;
  const at::Tensor buckets = RelativePositionBuckets(
      RelativePositions(queries, keys, device), positions_);
  const at::Tensor bias =
      SpreadRelativeBias((*relative_attention_bias_)(buckets), queries);
  return mask.defined() ? bias + mask : bias;
}

T5AttentionResult T5Attention::Forward(const T5AttentionArguments& arguments) {
  const at::Tensor query =
      SplitHeads((*q_)(arguments.hidden_states), head_size_);
  T5AttentionResult result;
  const at::Tensor& states = arguments.key_value_states;
  if (states.defined()) {
    result.key = ProjectStates(*k_, states, arguments.past_key);
    result.value = ProjectStates(*v_, states, arguments.past_value);
  } else {
    result.key = SplitHeads((*k_)(arguments.hidden_states), head_size_);
    result.value = SplitHeads((*v_)(arguments.hidden_states), head_size_);
    AppendToCache(arguments.past_key, arguments.past_value, arguments.store,
                  result.key, result.value);
  }
  result.position_bias = arguments.position_bias;
  if (!result.position_bias.defined()) {
    result.position_bias = PositionBias(query.size(2), result.key.size(2),
                                        query.device(), arguments.mask);
  }
  at::Tensor bias = result.position_bias;
  if (!arguments.heads_left.empty() && bias.size(1) > 1) {
    bias = bias.index_select(
        1, at::tensor(at::IntArrayRef(arguments.heads_left.data(),
                                      arguments.heads_left.size()),
                      at::dtype(at::kLong))
               .to(bias.device()));
  }
  AttentionResult attended =
      Attend({.query = query,
              .key = result.key,
              .value = result.value,
              .bias = bias,
              .head_mask = arguments.head_mask,
              .scale = 1.0,
              .dropout_probability = is_training() ? dropout_rate_ : 0.0,
              .softmax_in_float32 = true,
              .need_probabilities = arguments.output_attentions,
              .always_fused = is_always_fused()});
  result.hidden_states = (*o_)(MergeHeads(attended.context));
  if (arguments.output_attentions) {
    result.probabilities = attended.probabilities;
  }
  return result;
}

}  // namespace pretrained
