#ifndef PRETRAINED_MODELING_T5_T5_BLOCK_H_
#define PRETRAINED_MODELING_T5_T5_BLOCK_H_

#include <cstdint>
#include <memory>

#include "ATen/core/Tensor.h"
#include "absl/types/span.h"
#include "device_map/module_tree.h"
#include "modeling/gradient_checkpointing.h"
#include "modeling/key_value_store.h"
#include "modeling/layers.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/t5/t5_attention.h"
#include "modeling/t5/t5_config.h"

namespace pretrained {

// One projection up, or a gate and what it lets through, and one down; the last
// in the dtype of its own weight, which loading in float16 leaves in float32.
// Matches: transformers 4.34 modeling_t5.py `T5DenseActDense` and
//     `T5DenseGatedActDense`.
class T5Dense : public CallableModule<OneTensor, OneTensor> {
 public:
  T5Dense(const ModuleNode& node, const ModuleOptions& options,
          const T5Config& config);

 protected:
  OneTensor Forward(const OneTensor& input) override;

 private:
  std::shared_ptr<Linear> wi_;    // wi_0 of a gated one.
  std::shared_ptr<Linear> wi_1_;  // Null unless gated.
  std::shared_ptr<Linear> wo_;
  std::shared_ptr<Dropout> dropout_;
  std::shared_ptr<Activation> act_;
};

// The feed-forward step of a block, with its norm before and its residual.
class T5LayerFF : public CallableModule<OneTensor, OneTensor> {
 public:
  T5LayerFF(const ModuleNode& node, const ModuleOptions& options,
            const T5Config& config);

 protected:
  OneTensor Forward(const OneTensor& input) override;

 private:
  std::shared_ptr<T5Dense> dense_;
  std::shared_ptr<RmsNorm> layer_norm_;
  std::shared_ptr<Dropout> dropout_;
};

// The self-attention or cross-attention step, likewise: T5LayerSelfAttention
// and T5LayerCrossAttention, which differ in the name of their attention.
class T5LayerAttention
    : public CallableModule<T5AttentionArguments, T5AttentionResult> {
 public:
  T5LayerAttention(const ModuleNode& node, const ModuleOptions& options,
                   const T5Config& config, bool is_decoder);

 protected:
  T5AttentionResult Forward(const T5AttentionArguments& arguments) override;

 private:
  std::shared_ptr<T5Attention> attention_;
  std::shared_ptr<RmsNorm> layer_norm_;
  std::shared_ptr<Dropout> dropout_;
};

// Shapes as in T5AttentionArguments; what is not given is undefined.
struct T5BlockArguments {
  at::Tensor hidden_states;
  at::Tensor attention_mask;
  at::Tensor position_bias;           // Of the block before, its mask in it.
  at::Tensor encoder_hidden_states;   // Undefined without cross-attention.
  at::Tensor encoder_attention_mask;  // Added to cross-attention's scores.
  at::Tensor cross_position_bias;
  at::Tensor head_mask;
  at::Tensor cross_attn_head_mask;
  LayerCache past;  // Empty at the first token.
  KeyValueStore::Layer* store = nullptr;
  absl::Span<const int64_t> heads_left;  // See T5AttentionArguments.
  bool output_attentions = false;

  template <typename F>
  void ForEachTensor(F&& visit) {
    for (at::Tensor* tensor :
         {&hidden_states, &attention_mask, &position_bias,
          &encoder_hidden_states, &encoder_attention_mask, &cross_position_bias,
          &head_mask, &cross_attn_head_mask}) {
      visit(*tensor);
    }
    for (at::Tensor& tensor : past) visit(tensor);
  }
};

struct T5BlockResult {
  at::Tensor hidden_states;
  LayerCache present;
  at::Tensor position_bias;
  at::Tensor attention;  // If output_attentions.
  at::Tensor cross_position_bias;
  at::Tensor cross_attention;

  template <typename F>
  void ForEachTensor(F&& visit) {
    visit(hidden_states);
    for (at::Tensor& tensor : present) visit(tensor);
    for (at::Tensor* tensor :
         {&position_bias, &attention, &cross_position_bias, &cross_attention}) {
      visit(*tensor);
    }
  }
};

// Self-attention, in a decoder cross-attention, and the feed-forward step.
// Matches: transformers 4.34 modeling_t5.py `T5Block`.
class T5Block : public CheckpointedBlock<T5BlockArguments, T5BlockResult> {
 public:
  T5Block(const ModuleNode& node, const ModuleOptions& options,
          const T5Config& config, bool is_decoder);

 protected:
  T5BlockResult Forward(const T5BlockArguments& arguments) override;

 private:
  std::shared_ptr<T5LayerAttention> self_attention_;
  std::shared_ptr<T5LayerAttention> cross_attention_;  // Null in an encoder.
  std::shared_ptr<T5LayerFF> feed_forward_;
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_T5_T5_BLOCK_H_
