#ifndef PRETRAINED_MODELING_BLOOM_BLOOM_BLOCK_H_
#define PRETRAINED_MODELING_BLOOM_BLOOM_BLOCK_H_

#include <cstdint>
#include <memory>

#include "ATen/core/Tensor.h"
#include "device_map/module_tree.h"
#include "modeling/better_transformer.h"
#include "modeling/bloom/bloom_config.h"
#include "modeling/gradient_checkpointing.h"
#include "modeling/key_value_store.h"
#include "modeling/layers.h"
#include "modeling/model_output.h"
#include "modeling/module.h"

namespace pretrained {

// One layer of BLOOM and its parts. Shapes: batch b, new tokens q, tokens with
// the cached ones k, hidden size e, heads h, head size d.

struct BloomBlockArguments {
  at::Tensor hidden_states;  // [b, q, e]
  at::Tensor residual;       // [b, q, e]; what attention adds itself to.
  at::Tensor bias;           // Added to scores: [1 or b, h, 1 or q, k].
  at::Tensor head_mask;      // See AttentionArguments.
  LayerCache past;           // Key and value [b, h, k - q, d]; or empty.
  KeyValueStore::Layer* store = nullptr;
  bool output_attentions = false;
  bool use_cache = false;

  template <typename F>
  void ForEachTensor(F&& visit) {
    for (at::Tensor* tensor : {&hidden_states, &residual, &bias, &head_mask}) {
      visit(*tensor);
    }
    for (at::Tensor& tensor : past) visit(tensor);
  }
};

struct BloomBlockResult {
  at::Tensor hidden_states;  // [b, q, e]
  at::Tensor attention;      // [b, h, q, k]; undefined unless asked for.
  LayerCache present;        // Key and value [b, h, k, d]; or empty.

  template <typename F>
  void ForEachTensor(F&& visit) {
    visit(hidden_states);
    visit(attention);
    for (at::Tensor& tensor : present) visit(tensor);
  }
};

// One matrix makes queries, keys and values: of each head in turn, its query,
// its key, its value. Adds `residual` to what comes out.
// Matches: transformers 4.34 `BloomAttention`.
class BloomAttention
    : public CallableModule<BloomBlockArguments, BloomBlockResult>,
      public FusableAttention {
 public:
  BloomAttention(const ModuleNode& node, const ModuleOptions& options,
                 const BloomConfig& config);

 protected:
  BloomBlockResult Forward(const BloomBlockArguments& arguments) override;

 private:
  const int64_t head_size_;
  const bool drops_bias_;
  const double hidden_dropout_;
  std::shared_ptr<Linear> query_key_value_;
  std::shared_ptr<Linear> dense_;
  std::shared_ptr<Dropout> dropout_;
};

struct BloomFeedForwardArguments {
  at::Tensor hidden_states;  // [b, q, e]
  at::Tensor residual;       // [b, q, e]

  template <typename F>
  void ForEachTensor(F&& visit) {
    visit(hidden_states);
    visit(residual);
  }
};

// residual + down(gelu(up(x))).
// Matches: transformers 4.34 `BloomMLP`.
class BloomFeedForward
    : public CallableModule<BloomFeedForwardArguments, OneTensor> {
 public:
  BloomFeedForward(const ModuleNode& node, const ModuleOptions& options,
                   const BloomConfig& config);

 protected:
  OneTensor Forward(const BloomFeedForwardArguments& arguments) override;

 private:
  const bool drops_bias_;
  const double hidden_dropout_;
  std::shared_ptr<Linear> up_;
  std::shared_ptr<Activation> activation_;
  std::shared_ptr<Linear> down_;
};

// `residual` of the arguments is not read.
// Matches: transformers 4.34 `BloomBlock`.
class BloomBlock
    : public CheckpointedBlock<BloomBlockArguments, BloomBlockResult> {
 public:
  BloomBlock(const ModuleNode& node, const ModuleOptions& options,
             const BloomConfig& config);

 protected:
  BloomBlockResult Forward(const BloomBlockArguments& arguments) override;

 private:
  const bool residual_after_norm_;
  std::shared_ptr<LayerNorm> input_norm_;
  std::shared_ptr<BloomAttention> attention_;
  std::shared_ptr<LayerNorm> middle_norm_;
  std::shared_ptr<BloomFeedForward> feed_forward_;
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_BLOOM_BLOOM_BLOCK_H_
