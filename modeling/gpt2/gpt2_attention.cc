#include "modeling/gpt2/gpt2_attention.h"

#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "modeling/attention.h"
#include "modeling/key_value_store.h"

namespace pretrained {
namespace {

double ScaleOf(const GPT2Config& config, int64_t layer) {
  double scale = 1.0;
  if (config.scale_attn_weights) {
    scale /= std::sqrt(static_cast<double>(config.head_size()));
  }
  if (config.scale_attn_by_inverse_layer_idx) {
    scale /= static_cast<double>(layer + 1);
  }
  return scale;
}

}  // namespace

GPT2Attention::GPT2Attention(const ModuleNode& node,
                             const ModuleOptions& options,
                             const GPT2Config& config, int64_t layer)
    : CallableModule(node, options),
      head_size_(config.head_size()),
      scale_(ScaleOf(config, layer)),
      upcast_(config.reorder_and_upcast_attn) {
  c_attn_ = AddChild<Conv1D>(node, "c_attn", options);
  if (node.find_child("q_attn") != nullptr) {
    q_attn_ = AddChild<Conv1D>(node, "q_attn", options);
  }
  c_proj_ = AddChild<Conv1D>(node, "c_proj", options);
  attn_dropout_ =
      AddChild<Dropout>(node, "attn_dropout", options, config.attn_pdrop);
  resid_dropout_ =
      AddChild<Dropout>(node, "resid_dropout", options, config.resid_pdrop);
}

void GPT2Attention::ComputeBuffers(at::Device device) {
  SetOwnTensor("bias", at::ones(buffer("bias").sizes(),
                                at::dtype(at::kBool).device(device))
                           .tril());
  SetOwnTensor(
      "masked_bias",
      at::full({}, -1e4,
               at::dtype(buffer("masked_bias").scalar_type()).device(device)));
}

GPT2AttentionResult GPT2Attention::Forward(
    const GPT2AttentionArguments& arguments) {
  // How many heads there are follows from the projection, which may be pruned.
  std::vector<at::Tensor> parts;  // Query, key, value.
  if (q_attn_ != nullptr) {
    parts = (*c_attn_)(arguments.encoder_hidden_states).chunk(2, 2);
    parts.insert(parts.begin(), (*q_attn_)(arguments.hidden_states));
  } else {
    parts = (*c_attn_)(arguments.hidden_states).chunk(3, 2);
  }
  for (at::Tensor& part : parts) part = SplitHeads(part, head_size_);
  GPT2AttentionResult result{.key = parts[1], .value = parts[2]};
  AppendToCache(arguments.past_key, arguments.past_value, arguments.store,
                result.key, result.value);
  AttentionArguments attention{
      .query = parts[0],
      .key = result.key,
      .value = result.value,
      .bias = arguments.bias,
      .is_causal = arguments.is_causal,
      .head_mask = arguments.head_mask,
      .scale = scale_,
      .dropout_probability = attn_dropout_->active_probability(),
      .need_probabilities = arguments.need_probabilities,
      .always_fused = is_always_fused()};
  const at::ScalarType type = result.value.scalar_type();
  if (upcast_ && type != at::kFloat) {
    for (at::Tensor* tensor :
         {&attention.query, &attention.key, &attention.value})
      *tensor = tensor->to(at::kFloat);
  }
  AttentionResult attended = Attend(attention);
  result.probabilities = std::move(attended.probabilities);
  if (result.probabilities.defined()) {
    result.probabilities = result.probabilities.to(type);
  }
  result.hidden_states =
      (*resid_dropout_)((*c_proj_)(MergeHeads(attended.context.to(type))));
  return result;
}

}  // namespace pretrained
