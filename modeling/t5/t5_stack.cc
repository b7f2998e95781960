#include "modeling/t5/t5_stack.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "ATen/ops/ones.h"
#include "absl/status/statusor.h"
#include "device_map/module_tree.h"
#include "modeling/attention_heads.h"
#include "modeling/attention_mask.h"
#include "modeling/gradient_checkpointing.h"
#include "modeling/head_pruning.h"
#include "modeling/key_value_store.h"
#include "modeling/layers.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/named_inputs.h"
#include "modeling/t5/t5_block.h"
#include "modeling/t5/t5_config.h"

namespace pretrained {
namespace {

// A mask that hides nothing.
at::Tensor FullMask(int64_t batch, int64_t keys, at::ScalarType type,
                    const at::Tensor& like) {
  return at::ones({batch, keys}, at::dtype(type).device(like.device()));
}

}  // namespace

T5Stack::T5Stack(const ModuleNode& node, const ModuleOptions& options,
                 const T5Config& config,
                 std::shared_ptr<Embedding> embed_tokens, bool is_decoder)
    : CallableModule(node, options),
      is_decoder_(is_decoder),
      num_heads_(config.num_heads),
      embed_tokens_(register_module("embed_tokens", std::move(embed_tokens))) {
  const ModuleNode& list_node = node.child("block");
  auto list = AddChild<Container>(node, "block", options);
  for (const ModuleNode& block : list_node.children) {
    blocks_.push_back(
        list->Add<T5Block>(list_node, block.name, options, config, is_decoder));
  }
  final_layer_norm_ = AddChild<RmsNorm>(node, "final_layer_norm", options,
                                        config.layer_norm_epsilon,
                                        RmsNorm::ResultDtype::kOfWeight);
  dropout_ = AddChild<Dropout>(node, "dropout", options, config.dropout_rate);
}

absl::StatusOr<T5StackArguments> T5Stack::Prepare(
    const T5StackInputs& inputs) const {
  const at::Tensor& main =
      inputs.input_ids.defined() ? inputs.input_ids : inputs.inputs_embeds;
  const int64_t batch = main.size(0);
  const int64_t queries = main.size(1);
  const int64_t keys = queries + CachedLength(inputs.past_key_values);
  const int64_t num_layers = static_cast<int64_t>(blocks_.size());
  const at::ScalarType type = embed_tokens_->parameter("weight").scalar_type();
  T5StackArguments arguments{.input_ids = inputs.input_ids,
                             .inputs_embeds = inputs.inputs_embeds,
                             .past_key_values = inputs.past_key_values};
  absl::StatusOr<at::Tensor> mask = ExtendedAttentionMask(
      inputs.attention_mask.defined() ? inputs.attention_mask
                                      : FullMask(batch, keys, type, main),
      {.dtype = type, .is_decoder = is_decoder_, .query_length = queries});
  if (!mask.ok()) return mask.status();
  arguments.attention_mask = *std::move(mask);

  const at::Tensor& states = inputs.encoder_hidden_states;
  if (is_decoder_ && states.defined()) {
    absl::StatusOr<at::Tensor> encoder_mask = InvertAttentionMask(
        inputs.encoder_attention_mask.defined()
            ? inputs.encoder_attention_mask
            : FullMask(states.size(0), states.size(1), type, main),
        type);
    if (!encoder_mask.ok()) return encoder_mask.status();
    arguments.encoder_hidden_states = states;
    arguments.encoder_attention_mask = *std::move(encoder_mask);
  }
  absl::StatusOr<std::vector<at::Tensor>> head_mask =
      ExpandHeadMask(inputs.head_mask, num_layers, type);
  if (!head_mask.ok()) return head_mask.status();
  arguments.head_mask = OfHeadsLeft(*head_mask, pruned_heads_, num_heads_);
  absl::StatusOr<std::vector<at::Tensor>> cross_head_mask =
      ExpandHeadMask(inputs.cross_attn_head_mask, num_layers, type);
  if (!cross_head_mask.ok()) return cross_head_mask.status();
  arguments.cross_attn_head_mask = *std::move(cross_head_mask);
  return arguments;
}

T5StackResult T5Stack::Forward(const T5StackArguments& arguments) {
  BaseModelOutput output;
  const bool use_cache = MayUseCache(arguments.use_cache, blocks_);
  at::Tensor hidden_states = (*dropout_)(
      arguments.input_ids.defined() ? (*embed_tokens_)(arguments.input_ids)
                                    : arguments.inputs_embeds);
  // The first block works the biases out; the others get them from there.
  at::Tensor position_bias;
  at::Tensor cross_position_bias;
  for (size_t i = 0; i < blocks_.size(); ++i) {
    if (arguments.output_hidden_states) {
      output.hidden_states.push_back(hidden_states);
    }
    T5BlockArguments block_arguments{
        .hidden_states = std::move(hidden_states),
        .attention_mask = arguments.attention_mask,
        .position_bias = std::move(position_bias),
        .encoder_hidden_states = arguments.encoder_hidden_states,
        .encoder_attention_mask = arguments.encoder_attention_mask,
        .cross_position_bias = std::move(cross_position_bias),
        .head_mask = arguments.head_mask[i],
        .cross_attn_head_mask = arguments.cross_attn_head_mask[i],
        .output_attentions = arguments.output_attentions};
    if (!arguments.past_key_values.empty()) {
      block_arguments.past = arguments.past_key_values[i];
    }
    if (use_cache) {
      block_arguments.store = StoreOfLayer(arguments.store, i);
    }
    std::vector<int64_t> heads_left;
    if (const auto layer = static_cast<int64_t>(i);
        pruned_heads_.contains(layer)) {
      heads_left = HeadsLeft(pruned_heads_, layer, num_heads_);
      block_arguments.heads_left = heads_left;
    }
    T5BlockResult block = blocks_[i]->Call(std::move(block_arguments));
    hidden_states = std::move(block.hidden_states);
    position_bias = std::move(block.position_bias);
    cross_position_bias = std::move(block.cross_position_bias);
    if (use_cache) {
      output.past_key_values.push_back(std::move(block.present));
    }
    if (arguments.output_attentions) {
      output.attentions.push_back(std::move(block.attention));
      if (block.cross_attention.defined()) {
        output.cross_attentions.push_back(std::move(block.cross_attention));
      }
    }
  }
  output.last_hidden_state = (*dropout_)((*final_layer_norm_)(hidden_states));
  if (arguments.output_hidden_states) {
    output.hidden_states.push_back(output.last_hidden_state);
  }
  return {std::move(output)};
}

}  // namespace pretrained
