#include "modeling/distilbert/distilbert_layer.h"

#include <cmath>
#include <cstdint>
#include <memory>
#include <utility>

#include "ATen/ATen.h"
#include "device_map/module_tree.h"
#include "modeling/attention.h"
#include "modeling/chunks.h"
#include "modeling/distilbert/distilbert_config.h"
#include "modeling/layers.h"
#include "modeling/module.h"

namespace pretrained {
namespace {

constexpr double kNormEpsilon = 1e-12;  // The config has none.

}  // namespace

DistilBertEmbeddings::DistilBertEmbeddings(const ModuleNode& node,
                                           const ModuleOptions& options,
                                           const DistilBertConfig& config)
    : CallableModule(node, options),
      word_embeddings_(AddChild<Embedding>(node, "word_embeddings", options,
                                           config.pad_token_id)),
      position_embeddings_(
          AddChild<Embedding>(node, "position_embeddings", options)),
      norm_(AddChild<LayerNorm>(node, "LayerNorm", options, kNormEpsilon)),
      dropout_(AddChild<Dropout>(node, "dropout", options, config.dropout)) {}

void DistilBertEmbeddings::ComputeBuffers(at::Device device) {
  const int64_t positions = buffer("position_ids").size(1);
  SetOwnTensor(
      "position_ids",
      at::arange(positions, at::dtype(at::kLong).device(device)).unsqueeze(0));
}

void DistilBertEmbeddings::SetNumPositions(int64_t num_positions) {
  const at::Tensor& ids = buffer("position_ids");
  SetOwnTensor("position_ids",
               at::arange(num_positions, ids.options()).unsqueeze(0));
}

OneTensor DistilBertEmbeddings::Forward(
    const DistilBertEmbeddingsArguments& arguments) {
  const at::Tensor words = arguments.inputs_embeds.defined()
                               ? arguments.inputs_embeds
                               : (*word_embeddings_)(arguments.input_ids);
  const at::Tensor positions = (*position_embeddings_)(
      buffer("position_ids").narrow(1, 0, words.size(1)));
  return {(*dropout_)((*norm_)(words + positions))};
}

at::Tensor SinusoidalPositions(int64_t positions, int64_t size) {
  const at::Tensor columns = at::arange(size, at::dtype(at::kDouble));
  const at::Tensor exponents = at::div(columns, 2, /*rounding_mode=*/"floor") *
                               2 / static_cast<double>(size);
  const at::Tensor angles =
      at::arange(positions, at::dtype(at::kDouble)).unsqueeze(1) /
      at::pow(10000.0, exponents);
  return at::where(columns.remainder(2).eq(0), angles.sin(), angles.cos())
      .to(at::kFloat);
}

DistilBertAttention::DistilBertAttention(const ModuleNode& node,
                                         const ModuleOptions& options,
                                         const DistilBertConfig& config)
    : CallableModule(node, options),
      head_size_(config.head_size()),
      dropout_(AddChild<Dropout>(node, "dropout", options,
                                 config.attention_dropout)),
      query_(AddChild<Linear>(node, "q_lin", options)),
      key_(AddChild<Linear>(node, "k_lin", options)),
      value_(AddChild<Linear>(node, "v_lin", options)),
      out_(AddChild<Linear>(node, "out_lin", options)) {}

DistilBertBlockResult DistilBertAttention::Forward(
    const DistilBertBlockArguments& arguments) {
  // The number of heads follows from the projection, which may be pruned.
  const at::Tensor& x = arguments.hidden_states;
  AttentionResult attended =
      Attend({.query = SplitHeads((*query_)(x), head_size_),
              .key = SplitHeads((*key_)(x), head_size_),
              .value = SplitHeads((*value_)(x), head_size_),
              .bias = arguments.attention_mask,
              .head_mask = arguments.head_mask,
              .scale = 1.0 / std::sqrt(static_cast<double>(head_size_)),
              .dropout_probability = dropout_->active_probability(),
              .need_probabilities = arguments.need_probabilities,
              .always_fused = is_always_fused()});
  // The peer gives out the weights as the head mask left them.
  return {.hidden_states = (*out_)(MergeHeads(attended.context)),
          .attention = std::move(attended.probabilities)};
}

DistilBertFeedForward::DistilBertFeedForward(const ModuleNode& node,
                                             const ModuleOptions& options,
                                             const DistilBertConfig& config)
    : CallableModule(node, options),
      chunk_size_(config.chunk_size_feed_forward),
      dropout_(AddChild<Dropout>(node, "dropout", options, config.dropout)),
      up_(AddChild<Linear>(node, "lin1", options)),
      down_(AddChild<Linear>(node, "lin2", options)),
      activation_(AddChild<Activation>(node, "activation", options,
                                       config.activation)) {}

OneTensor DistilBertFeedForward::Forward(const OneTensor& input) {
  return {RunInChunks(input.value, chunk_size_, [this](const at::Tensor& x) {
    return (*dropout_)((*down_)((*activation_)((*up_)(x))));
  })};
}

DistilBertBlock::DistilBertBlock(const ModuleNode& node,
                                 const ModuleOptions& options,
                                 const DistilBertConfig& config)
    : CheckpointedBlock(node, options),
      attention_(
          AddChild<DistilBertAttention>(node, "attention", options, config)),
      attention_norm_(
          AddChild<LayerNorm>(node, "sa_layer_norm", options, kNormEpsilon)),
      feed_forward_(
          AddChild<DistilBertFeedForward>(node, "ffn", options, config)),
      output_norm_(AddChild<LayerNorm>(node, "output_layer_norm", options,
                                       kNormEpsilon)) {}

DistilBertBlockResult DistilBertBlock::Forward(
    const DistilBertBlockArguments& arguments) {
  DistilBertBlockResult result = attention_->Call(arguments);
  const at::Tensor attended =
      (*attention_norm_)(result.hidden_states + arguments.hidden_states);
  result.hidden_states =
      (*output_norm_)(feed_forward_->Call({attended}).value + attended);
  return result;
}

}  // namespace pretrained
