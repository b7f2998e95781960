#ifndef PRETRAINED_MODELING_GPT2_GPT2_BLOCK_H_
#define PRETRAINED_MODELING_GPT2_GPT2_BLOCK_H_

#include <cstdint>
#include <memory>

#include "ATen/core/Tensor.h"
#include "device_map/module_tree.h"
#include "modeling/gpt2/gpt2_attention.h"
#include "modeling/gpt2/gpt2_config.h"
#include "modeling/gradient_checkpointing.h"
#include "modeling/key_value_store.h"
#include "modeling/layers.h"
#include "modeling/model_output.h"
#include "modeling/module.h"

namespace pretrained {

// Shapes as in GPT2AttentionArguments.
struct GPT2BlockArguments {
  at::Tensor hidden_states;
  at::Tensor bias;  // Added to scores of self-attention; or is_causal is set.
  at::Tensor head_mask;  // Of this layer.
  at::Tensor encoder_hidden_states;
  at::Tensor encoder_bias;  // Added to scores of cross-attention.
  LayerCache past;          // Key and value; empty at the first token.
  KeyValueStore::Layer* store = nullptr;
  bool is_causal = false;
  bool output_attentions = false;

  template <typename F>
  void ForEachTensor(F&& visit) {
    for (at::Tensor* tensor : {&hidden_states, &bias, &head_mask,
                               &encoder_hidden_states, &encoder_bias})
      visit(*tensor);
    for (at::Tensor& tensor : past) visit(tensor);
  }
};

struct GPT2BlockResult {
  at::Tensor hidden_states;
  at::Tensor attention;        // Undefined unless asked for.
  at::Tensor cross_attention;  // Likewise, and without encoder states.
  LayerCache present;          // Key and value of self-attention.

  template <typename F>
  void ForEachTensor(F&& visit) {
    for (at::Tensor* tensor : {&hidden_states, &attention, &cross_attention})
      visit(*tensor);
    for (at::Tensor& tensor : present) visit(tensor);
  }
};

class GPT2Mlp : public CallableModule<OneTensor, OneTensor> {
 public:
  GPT2Mlp(const ModuleNode& node, const ModuleOptions& options,
          const GPT2Config& config);

 protected:
  OneTensor Forward(const OneTensor& input) override;

 private:
  std::shared_ptr<Conv1D> c_fc_;
  std::shared_ptr<Conv1D> c_proj_;
  std::shared_ptr<Activation> act_;
  std::shared_ptr<Dropout> dropout_;
};

// Norm, attention, residual; the same for encoder states where they are given;
// norm, feed-forward, residual.
// Matches: transformers 4.34 modeling_gpt2.py `GPT2Block`.
class GPT2Block
    : public CheckpointedBlock<GPT2BlockArguments, GPT2BlockResult> {
 public:
  GPT2Block(const ModuleNode& node, const ModuleOptions& options,
            const GPT2Config& config, int64_t layer);

 protected:
  GPT2BlockResult Forward(const GPT2BlockArguments& arguments) override;

 private:
  std::shared_ptr<LayerNorm> ln_1_;
  std::shared_ptr<GPT2Attention> attn_;
  std::shared_ptr<LayerNorm> ln_2_;
  std::shared_ptr<GPT2Attention> cross_attention_;  // Null without.
  std::shared_ptr<LayerNorm> ln_cross_attn_;        // Null without.
  std::shared_ptr<GPT2Mlp> mlp_;
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_GPT2_GPT2_BLOCK_H_
