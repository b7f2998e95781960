#include "modeling/gpt2/gpt2_block.h"

#include <cstdint>
#include <utility>

#include "ATen/core/Tensor.h"
#include "ATen/ops/add.h"

namespace pretrained {

GPT2Mlp::GPT2Mlp(const ModuleNode& node, const ModuleOptions& options,
                 const GPT2Config& config)
    : CallableModule(node, options),
      c_fc_(AddChild<Conv1D>(node, "c_fc", options)),
      c_proj_(AddChild<Conv1D>(node, "c_proj", options)),
      act_(AddChild<Activation>(node, "act", options,
                                config.activation_function)),
      dropout_(
          AddChild<Dropout>(node, "dropout", options, config.resid_pdrop)) {}

OneTensor GPT2Mlp::Forward(const OneTensor& input) {
  return {(*dropout_)((*c_proj_)((*act_)((*c_fc_)(input.value))))};
}

GPT2Block::GPT2Block(const ModuleNode& node, const ModuleOptions& options,
                     const GPT2Config& config, int64_t layer)
    : CheckpointedBlock(node, options) {
  const double eps = config.layer_norm_epsilon;
  ln_1_ = AddChild<LayerNorm>(node, "ln_1", options, eps);
  attn_ = AddChild<GPT2Attention>(node, "attn", options, config, layer);
  ln_2_ = AddChild<LayerNorm>(node, "ln_2", options, eps);
  if (config.add_cross_attention) {
    cross_attention_ =
        AddChild<GPT2Attention>(node, "crossattention", options, config, layer);
    ln_cross_attn_ = AddChild<LayerNorm>(node, "ln_cross_attn", options, eps);
  }
  mlp_ = AddChild<GPT2Mlp>(node, "mlp", options, config);
}

GPT2BlockResult GPT2Block::Forward(const GPT2BlockArguments& arguments) {
  GPT2AttentionArguments self{
      .hidden_states = (*ln_1_)(arguments.hidden_states),
      .bias = arguments.bias,
      .head_mask = arguments.head_mask,
      .store = arguments.store,
      .is_causal = arguments.is_causal,
      .need_probabilities = arguments.output_attentions};
  if (!arguments.past.empty()) {
    self.past_key = arguments.past[0];
    self.past_value = arguments.past[1];
  }
  GPT2AttentionResult attended = attn_->Call(std::move(self));
  at::Tensor states = attended.hidden_states + arguments.hidden_states;
  GPT2BlockResult result{.present = {attended.key, attended.value}};
  if (arguments.output_attentions) result.attention = attended.probabilities;
  if (cross_attention_ != nullptr &&
      arguments.encoder_hidden_states.defined()) {
    GPT2AttentionResult cross = cross_attention_->Call(
        {.hidden_states = (*ln_cross_attn_)(states),
         .bias = arguments.encoder_bias,
         .head_mask = arguments.head_mask,
         .encoder_hidden_states = arguments.encoder_hidden_states,
         .need_probabilities = arguments.output_attentions});
    states = states + cross.hidden_states;
    if (arguments.output_attentions) {
      result.cross_attention = cross.probabilities;
    }
  }
  result.hidden_states = states + mlp_->Call({(*ln_2_)(states)}).value;
  return result;
}

}  // namespace pretrained
