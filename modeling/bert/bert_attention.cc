#include "modeling/bert/bert_attention.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "ATen/ATen.h"
#include "device_map/module_tree.h"
#include "modeling/attention.h"
#include "modeling/bert/bert_config.h"
#include "modeling/layers.h"
#include "modeling/module.h"

namespace pretrained {

BertOutput::BertOutput(const ModuleNode& node, const ModuleOptions& options,
                       const BertConfig& config)
    : CallableModule(node, options),
      dense_(AddChild<Linear>(node, "dense", options)),
      norm_(AddChild<LayerNorm>(node, "LayerNorm", options,
                                config.layer_norm_eps)),
      dropout_(AddChild<Dropout>(node, "dropout", options,
                                 config.hidden_dropout_prob)) {}

OneTensor BertOutput::Forward(const BertOutputArguments& arguments) {
  const at::Tensor projected = (*dropout_)((*dense_)(arguments.hidden_states));
  return {(*norm_)(projected + arguments.residual)};
}

BertSelfAttention::BertSelfAttention(const ModuleNode& node,
                                     const ModuleOptions& options,
                                     const BertConfig& config,
                                     const std::string& position_embedding_type)
    : CallableModule(node, options),
      head_size_(config.head_size()),
      scale_(1.0 / std::sqrt(static_cast<double>(head_size_))),
      max_position_embeddings_(config.max_position_embeddings),
      position_embedding_type_(position_embedding_type),
      query_(AddChild<Linear>(node, "query", options)),
      key_(AddChild<Linear>(node, "key", options)),
      value_(AddChild<Linear>(node, "value", options)),
      dropout_(AddChild<Dropout>(node, "dropout", options,
                                 config.attention_probs_dropout_prob)) {
  if (position_embedding_type_ != "absolute") {
    distance_embedding_ =
        AddChild<Embedding>(node, "distance_embedding", options);
  }
}

at::Tensor BertSelfAttention::RelativeScores(const at::Tensor& query,
                                             const at::Tensor& key) {
  const int64_t queries = query.size(2);
  const int64_t keys = key.size(2);
  const at::TensorOptions index = at::dtype(at::kLong).device(query.device());
  // Queries are the last tokens of those that the keys cover.
  const at::Tensor left = at::arange(keys - queries, keys, index).unsqueeze(1);
  const at::Tensor right = at::arange(keys, index).unsqueeze(0);
  const at::Tensor embedding =
      (*distance_embedding_)(left - right + (max_position_embeddings_ - 1))
          .to(query.scalar_type());
  at::Tensor scores = at::einsum("bhld,lrd->bhlr", {query, embedding});
  if (position_embedding_type_ == "relative_key_query") {
    scores = scores + at::einsum("bhrd,lrd->bhlr", {key, embedding});
  }
  return scores;
}

at::Tensor BertSelfAttention::ScoreBias(const at::Tensor& query,
                                        const at::Tensor& key,
                                        const at::Tensor& attention_mask) {
  if (distance_embedding_ == nullptr) return attention_mask;
  // The peer scales the sum of both scores.
  const at::Tensor relative = RelativeScores(query, key) * scale_;
  if (!attention_mask.defined()) return relative;
  const at::Tensor bias = relative + attention_mask;
  if (bias.scalar_type() != at::kHalf) return bias;
  // Hidden keys stay at the lowest number: -inf in all of a row makes softmax
  // NaN. Of the floating dtypes only float16 is so narrow that it gets there.
  return bias.clamp_min(
      static_cast<double>(std::numeric_limits<at::Half>::lowest()));
}

BertAttentionResult BertSelfAttention::Forward(
    const BertAttentionArguments& arguments) {
  // The number of heads follows from the projection, which may be pruned.
  const at::Tensor query =
      SplitHeads((*query_)(arguments.hidden_states), head_size_);
  const bool is_cross = arguments.encoder_hidden_states.defined();
  const bool has_past = arguments.past_key.defined();
  BertAttentionResult result;
  if (is_cross && has_past) {
    // Encoder states do not change from token to token.
    result.key = arguments.past_key;
    result.value = arguments.past_value;
  } else {
    const at::Tensor& source =
        is_cross ? arguments.encoder_hidden_states : arguments.hidden_states;
    result.key = SplitHeads((*key_)(source), head_size_);
    result.value = SplitHeads((*value_)(source), head_size_);
    AppendToCache(arguments.past_key, arguments.past_value, arguments.store,
                  result.key, result.value);
  }
  AttentionResult attended =
      Attend({.query = query,
              .key = result.key,
              .value = result.value,
              .bias = ScoreBias(query, result.key, arguments.attention_mask),
              .head_mask = arguments.head_mask,
              .scale = scale_,
              .dropout_probability = dropout_->active_probability(),
              .need_probabilities = arguments.need_probabilities,
              .always_fused = is_always_fused()});
  result.probabilities = std::move(attended.probabilities);
  result.hidden_states = MergeHeads(attended.context);
  return result;
}

BertAttention::BertAttention(const ModuleNode& node,
                             const ModuleOptions& options,
                             const BertConfig& config,
                             const std::string& position_embedding_type)
    : CallableModule(node, options),
      self_(AddChild<BertSelfAttention>(node, "self", options, config,
                                        position_embedding_type)),
      output_(AddChild<BertOutput>(node, "output", options, config)) {}

BertAttentionResult BertAttention::Forward(
    const BertAttentionArguments& arguments) {
  BertAttentionResult result = self_->Call(arguments);
  result.hidden_states =
      output_->Call({result.hidden_states, arguments.hidden_states}).value;
  return result;
}

}  // namespace pretrained
