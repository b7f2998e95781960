#ifndef PRETRAINED_MODELING_GPT2_GPT2_ATTENTION_H_
#define PRETRAINED_MODELING_GPT2_GPT2_ATTENTION_H_

#include <cstdint>
#include <memory>

#include "ATen/core/Tensor.h"
#include "c10/core/Device.h"
#include "device_map/module_tree.h"
#include "modeling/better_transformer.h"
#include "modeling/gpt2/gpt2_config.h"
#include "modeling/key_value_store.h"
#include "modeling/layers.h"
#include "modeling/module.h"

namespace pretrained {

// Shapes: batch b, tokens s, hidden size e, heads h, head size d, keys k (the
// cached tokens and then these; or the encoder's). What is not given is
// undefined.
struct GPT2AttentionArguments {
  at::Tensor hidden_states;  // [b, s, e]
  at::Tensor bias;           // Added to scores: [1 or b, 1, 1 or s, k].
  at::Tensor head_mask;      // Times probabilities: [1 or b, h, 1, 1].
  // Cross-attention's keys and values come from these: [b, k, e].
  at::Tensor encoder_hidden_states;
  at::Tensor past_key;                    // [b, h, cached, d]
  at::Tensor past_value;                  // [b, h, cached, d]
  KeyValueStore::Layer* store = nullptr;  // Of self-attention.
  // Instead of `bias`, where each query sees what came before it: see Attend().
  bool is_causal = false;
  bool need_probabilities = false;

  template <typename F>
  void ForEachTensor(F&& visit) {
    for (at::Tensor* tensor : {&hidden_states, &bias, &head_mask,
                               &encoder_hidden_states, &past_key, &past_value})
      visit(*tensor);
  }
};

struct GPT2AttentionResult {
  at::Tensor hidden_states;  // [b, s, e]
  at::Tensor probabilities;  // [b, h, s, k]; may be undefined if not wanted.
  at::Tensor key;            // [b, h, k, d]
  at::Tensor value;          // [b, h, k, d]

  template <typename F>
  void ForEachTensor(F&& visit) {
    for (at::Tensor* tensor : {&hidden_states, &probabilities, &key, &value})
      visit(*tensor);
  }
};

// Self-attention, or cross-attention where its node has q_attn. One matrix
// makes query, key and value; scores are scaled as the config says.
// Matches: transformers 4.34 modeling_gpt2.py `GPT2Attention`.
class GPT2Attention
    : public CallableModule<GPT2AttentionArguments, GPT2AttentionResult>,
      public FusableAttention {
 public:
  GPT2Attention(const ModuleNode& node, const ModuleOptions& options,
                const GPT2Config& config, int64_t layer);

  // Makes the causal mask that the state dict of old checkpoints holds. The
  // forward pass takes its masks from `bias`.
  void ComputeBuffers(at::Device device) override;

 protected:
  GPT2AttentionResult Forward(const GPT2AttentionArguments& arguments) override;

 private:
  const int64_t head_size_;
  const double scale_;
  const bool upcast_;  // Scores in float32.
  std::shared_ptr<Conv1D> c_attn_;
  std::shared_ptr<Conv1D> q_attn_;  // Null in self-attention.
  std::shared_ptr<Conv1D> c_proj_;
  std::shared_ptr<Dropout> attn_dropout_;
  std::shared_ptr<Dropout> resid_dropout_;
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_GPT2_GPT2_ATTENTION_H_
