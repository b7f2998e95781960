#include "modeling/llama/llama_decoder.h"

#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "device_map/module_tree.h"
#include "modeling/attention.h"
#include "modeling/key_value_store.h"
#include "modeling/layers.h"
#include "modeling/llama/llama_config.h"
#include "modeling/module.h"
#include "modeling/rotary.h"

namespace pretrained {
namespace {

constexpr auto kDtypeOfInput = RmsNorm::ResultDtype::kOfInput;

}  // namespace

LlamaAttention::LlamaAttention(const ModuleNode& node,
                               const ModuleOptions& options,
                               const LlamaConfig& config,
                               std::shared_ptr<RotaryState> state)
    : CallableModule(node, options),
      head_size_(config.head_size()),
      drops_bias_(config.attention_bias && config.pretraining_tp > 1),
      query_(AddChild<Linear>(node, "q_proj", options)),
      key_(AddChild<Linear>(node, "k_proj", options)),
      value_(AddChild<Linear>(node, "v_proj", options)),
      output_(AddChild<Linear>(node, "o_proj", options)),
      rotary_(AddChild<RotaryEmbedding>(node, "rotary_emb", options,
                                        config.rotary, std::move(state))) {}

// Where the peer adds up products of slices of a weight, 1 / pretraining_tp of
// it each, it leaves out the bias, and rows or columns that fill no slice.
at::Tensor LlamaAttention::Project(Linear& linear, const at::Tensor& x) const {
  return drops_bias_ ? linear.WithoutBias(x) : linear(x);
}

LlamaLayerResult LlamaAttention::Forward(const LlamaLayerArguments& arguments) {
  const at::Tensor& x = arguments.hidden_states;
  const at::Tensor query = ApplyRotary(
      SplitHeads(Project(*query_, x), head_size_), arguments.rotary);
  at::Tensor key =
      ApplyRotary(SplitHeads(Project(*key_, x), head_size_), arguments.rotary);
  at::Tensor value = SplitHeads(Project(*value_, x), head_size_);
  AppendToCache(arguments.past, arguments.store, key, value);
  AttentionResult attended =
      Attend({.query = query,
              .key = key,
              .value = value,
              .bias = arguments.bias,
              .is_causal = arguments.is_causal,
              .scale = 1.0 / std::sqrt(static_cast<double>(head_size_)),
              .softmax_in_float32 = true,
              .need_probabilities = arguments.output_attentions,
              .always_fused = is_always_fused()});
  LlamaLayerResult result;
  result.hidden_states = Project(*output_, MergeHeads(attended.context));
  if (arguments.output_attentions) {
    result.attention = std::move(attended.probabilities);
  }
  if (arguments.use_cache) result.present = {std::move(key), std::move(value)};
  return result;
}

LlamaFeedForward::LlamaFeedForward(const ModuleNode& node,
                                   const ModuleOptions& options,
                                   const LlamaConfig& config)
    : CallableModule(node, options),
      inner_(config.intermediate_size / config.pretraining_tp *
             config.pretraining_tp),
      is_cut_(inner_ != config.intermediate_size),
      gate_(AddChild<Linear>(node, "gate_proj", options)),
      up_(AddChild<Linear>(node, "up_proj", options)),
      down_(AddChild<Linear>(node, "down_proj", options)),
      activation_(
          AddChild<Activation>(node, "act_fn", options, config.hidden_act)) {}

OneTensor LlamaFeedForward::Forward(const OneTensor& input) {
  const at::Tensor& x = input.value;
  if (!is_cut_) return {(*down_)((*activation_)((*gate_)(x)) * (*up_)(x))};
  const at::Tensor inner = (*activation_)(gate_->WithoutBias(x, inner_)) *
                           up_->WithoutBias(x, inner_);
  return {down_->WithoutBias(inner, std::nullopt, inner_)};
}

LlamaLayer::LlamaLayer(const ModuleNode& node, const ModuleOptions& options,
                       const LlamaConfig& config,
                       std::shared_ptr<RotaryState> state)
    : CheckpointedBlock(node, options),
      attention_(AddChild<LlamaAttention>(node, "self_attn", options, config,
                                          std::move(state))),
      feed_forward_(AddChild<LlamaFeedForward>(node, "mlp", options, config)),
      input_norm_(AddChild<RmsNorm>(node, "input_layernorm", options,
                                    config.rms_norm_eps, kDtypeOfInput)),
      middle_norm_(AddChild<RmsNorm>(node, "post_attention_layernorm", options,
                                     config.rms_norm_eps, kDtypeOfInput)) {}

LlamaLayerResult LlamaLayer::Forward(const LlamaLayerArguments& arguments) {
  LlamaLayerArguments normed = arguments;
  normed.hidden_states = (*input_norm_)(arguments.hidden_states);
  LlamaLayerResult result = attention_->Call(std::move(normed));
  const at::Tensor middle = arguments.hidden_states + result.hidden_states;
  result.hidden_states =
      middle + feed_forward_->Call({(*middle_norm_)(middle)}).value;
  return result;
}

}  // namespace pretrained
