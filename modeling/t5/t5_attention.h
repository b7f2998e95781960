#ifndef PRETRAINED_MODELING_T5_T5_ATTENTION_H_
#define PRETRAINED_MODELING_T5_T5_ATTENTION_H_

#include <cstdint>
#include <memory>

#include "ATen/core/Tensor.h"
#include "absl/types/span.h"
#include "device_map/module_tree.h"
#include "modeling/better_transformer.h"
#include "modeling/key_value_store.h"
#include "modeling/layers.h"
#include "modeling/module.h"
#include "modeling/relative_position_bias.h"
#include "modeling/t5/t5_config.h"

namespace pretrained {

// Tensors that are not given are undefined. Sizes: batch b, queries q, keys k,
// heads h, head size d, hidden size e.
struct T5AttentionArguments {
  at::Tensor hidden_states;     // [b, q, e]
  at::Tensor mask;              // Added to scores: [1 or b, 1, 1 or q, k].
  at::Tensor key_value_states;  // Cross-attention's: [b, k, e].
  // What an earlier layer of the stack returned, the mask in it. Undefined in
  // the first, which works it out.
  at::Tensor position_bias;
  at::Tensor head_mask;  // Times probabilities: [1 or b, h, 1, 1].
  at::Tensor past_key;   // Cached: [b, h, k - q, d]; whole for cross-attention.
  at::Tensor past_value;
  KeyValueStore::Layer* store = nullptr;  // Of self-attention.
  // Where heads were pruned: those that are left, by their numbers in
  // position_bias, which has all. Empty for all.
  absl::Span<const int64_t> heads_left;
  bool output_attentions = false;

  template <typename F>
  void ForEachTensor(F&& visit) {
    for (at::Tensor* tensor :
         {&hidden_states, &mask, &key_value_states, &position_bias, &head_mask,
          &past_key, &past_value}) {
      visit(*tensor);
    }
  }
};

struct T5AttentionResult {
  at::Tensor hidden_states;  // [b, q, e]
  at::Tensor key;            // What to cache: [b, h, k, d].
  at::Tensor value;
  // For the next layer: [1 or b, 1 or h, 1 or q, k], of pruned heads as well.
  at::Tensor position_bias;
  at::Tensor probabilities;  // [b, h, q, k], if output_attentions.

  template <typename F>
  void ForEachTensor(F&& visit) {
    for (at::Tensor* tensor :
         {&hidden_states, &key, &value, &position_bias, &probabilities}) {
      visit(*tensor);
    }
  }
};

// Attention of several heads, whose scores are not scaled but biased by how far
// a key lies from its query.
// Matches: transformers 4.34 modeling_t5.py `T5Attention`.
class T5Attention
    : public CallableModule<T5AttentionArguments, T5AttentionResult>,
      public FusableAttention {
 public:
  // It has a table of relative positions if `node` has.
  T5Attention(const ModuleNode& node, const ModuleOptions& options,
              const T5Config& config, bool is_decoder);

 protected:
  T5AttentionResult Forward(const T5AttentionArguments& arguments) override;

 private:
  // Cross-attention's keys or values, [b, h, k, d]; `past` where it will do.
  at::Tensor ProjectStates(Linear& projection, const at::Tensor& states,
                           const at::Tensor& past);
  at::Tensor PositionBias(int64_t queries, int64_t keys, at::Device device,
                          const at::Tensor& mask);

  const int64_t head_size_;
  const double dropout_rate_;
  const RelativePositionOptions positions_;
  std::shared_ptr<Linear> q_;
  std::shared_ptr<Linear> k_;
  std::shared_ptr<Linear> v_;
  std::shared_ptr<Linear> o_;
  std::shared_ptr<Embedding> relative_attention_bias_;  // Null without.
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_T5_T5_ATTENTION_H_
