#include "modeling/bert/bert_encoder.h"

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "device_map/module_tree.h"
#include "modeling/bert/bert_attention.h"
#include "modeling/bert/bert_config.h"
#include "modeling/chunks.h"
#include "modeling/gradient_checkpointing.h"
#include "modeling/layers.h"
#include "modeling/model_output.h"
#include "modeling/module.h"

namespace pretrained {
namespace {

// Entry `index` of `past`; undefined where there is none.
at::Tensor Cached(const LayerCache& past, size_t index) {
  return index < past.size() ? past[index] : at::Tensor();
}

}  // namespace

BertIntermediate::BertIntermediate(const ModuleNode& node,
                                   const ModuleOptions& options,
                                   const BertConfig& config)
    : CallableModule(node, options),
      dense_(AddChild<Linear>(node, "dense", options)),
      activation_(AddChild<Activation>(node, "intermediate_act_fn", options,
                                       config.hidden_act)) {}

OneTensor BertIntermediate::Forward(const OneTensor& input) {
  return {(*activation_)((*dense_)(input.value))};
}

BertLayer::BertLayer(const ModuleNode& node, const ModuleOptions& options,
                     const BertConfig& config)
    : CheckpointedBlock(node, options),
      chunk_size_(config.chunk_size_feed_forward),
      attention_(AddChild<BertAttention>(node, "attention", options, config,
                                         config.position_embedding_type)) {
  if (config.add_cross_attention) {
    cross_attention_ = AddChild<BertAttention>(node, "crossattention", options,
                                               config, "absolute");
  }
  intermediate_ =
      AddChild<BertIntermediate>(node, "intermediate", options, config);
  output_ = AddChild<BertOutput>(node, "output", options, config);
}

at::Tensor BertLayer::FeedForward(const at::Tensor& hidden_states) {
  return RunInChunks(hidden_states, chunk_size_, [this](const at::Tensor& x) {
    return output_->Call({intermediate_->Call({x}).value, x}).value;
  });
}

BertLayerResult BertLayer::Forward(const BertLayerArguments& arguments) {
  BertAttentionResult self =
      attention_->Call({.hidden_states = arguments.hidden_states,
                        .attention_mask = arguments.attention_mask,
                        .head_mask = arguments.head_mask,
                        .past_key = Cached(arguments.past, 0),
                        .past_value = Cached(arguments.past, 1),
                        .store = arguments.store,
                        .need_probabilities = arguments.need_probabilities});
  BertLayerResult result{.attention = self.probabilities,
                         .present = {self.key, self.value}};
  at::Tensor hidden_states = std::move(self.hidden_states);
  if (cross_attention_ != nullptr &&
      arguments.encoder_hidden_states.defined()) {
    BertAttentionResult cross = cross_attention_->Call(
        {.hidden_states = hidden_states,
         .attention_mask = arguments.encoder_attention_mask,
         .head_mask = arguments.head_mask,
         .encoder_hidden_states = arguments.encoder_hidden_states,
         .past_key = Cached(arguments.past, 2),
         .past_value = Cached(arguments.past, 3),
         .need_probabilities = arguments.need_probabilities});
    result.cross_attention = cross.probabilities;
    result.present.push_back(cross.key);
    result.present.push_back(cross.value);
    hidden_states = std::move(cross.hidden_states);
  }
  result.hidden_states = FeedForward(hidden_states);
  return result;
}

BertEncoder::BertEncoder(const ModuleNode& node, const ModuleOptions& options,
                         const BertConfig& config)
    : CallableModule(node, options) {
  const ModuleNode& list_node = node.child("layer");
  auto list = AddChild<Container>(node, "layer", options);
  for (const ModuleNode& layer : list_node.children) {
    layers_.push_back(
        list->Add<BertLayer>(list_node, layer.name, options, config));
  }
}

BertEncoderResult BertEncoder::Forward(const BertEncoderArguments& arguments) {
  BertEncoderResult result;
  const bool use_cache = MayUseCache(arguments.use_cache, layers_);
  at::Tensor hidden_states = arguments.hidden_states;
  for (size_t i = 0; i < layers_.size(); ++i) {
    if (arguments.output_hidden_states) {
      result.hidden_states.push_back(hidden_states);
    }
    BertLayerArguments layer_arguments{
        .hidden_states = std::move(hidden_states),
        .attention_mask = arguments.attention_mask,
        .head_mask = arguments.head_mask[i],
        .encoder_hidden_states = arguments.encoder_hidden_states,
        .encoder_attention_mask = arguments.encoder_attention_mask,
        .need_probabilities = arguments.output_attentions};
    if (!arguments.past_key_values.empty()) {
      layer_arguments.past = arguments.past_key_values[i];
    }
    if (use_cache) {
      layer_arguments.store = StoreOfLayer(arguments.store, i);
    }
    BertLayerResult layer = layers_[i]->Call(std::move(layer_arguments));
    hidden_states = std::move(layer.hidden_states);
    if (use_cache) {
      result.past_key_values.push_back(std::move(layer.present));
    }
    if (arguments.output_attentions) {
      result.attentions.push_back(std::move(layer.attention));
      if (layer.cross_attention.defined()) {
        result.cross_attentions.push_back(std::move(layer.cross_attention));
      }
    }
  }
  if (arguments.output_hidden_states) {
    result.hidden_states.push_back(hidden_states);
  }
  result.last_hidden_state = std::move(hidden_states);
  return result;
}

}  // namespace pretrained
