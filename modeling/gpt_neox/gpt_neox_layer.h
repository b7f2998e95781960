#ifndef PRETRAINED_MODELING_GPT_NEOX_GPT_NEOX_LAYER_H_
#define PRETRAINED_MODELING_GPT_NEOX_GPT_NEOX_LAYER_H_

#include <cstdint>
#include <memory>

#include "ATen/core/Tensor.h"
#include "device_map/module_tree.h"
#include "modeling/better_transformer.h"
#include "modeling/gpt_neox/gpt_neox_config.h"
#include "modeling/gradient_checkpointing.h"
#include "modeling/key_value_store.h"
#include "modeling/layers.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/rotary.h"

namespace pretrained {

// One layer of GPT-NeoX and its parts. Shapes: batch b, new tokens q, tokens
// with the cached ones k, hidden size e, heads h, head size d.

struct GPTNeoXLayerArguments {
  at::Tensor hidden_states;  // [b, q, e]
  at::Tensor bias;           // Added to scores; undefined for none.
  at::Tensor head_mask;      // See AttentionArguments.
  RotaryTables rotary;       // At the new tokens' positions; in float32.
  LayerCache past;           // Key and value [b, h, k - q, d]; or empty.
  KeyValueStore::Layer* store = nullptr;
  bool is_causal = false;  // See AttentionArguments.
  bool output_attentions = false;
  bool use_cache = false;

  template <typename F>
  void ForEachTensor(F&& visit) {
    visit(hidden_states);
    visit(bias);
    visit(head_mask);
    rotary.ForEachTensor(visit);
    for (at::Tensor& tensor : past) visit(tensor);
  }
};

struct GPTNeoXLayerResult {
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
// its key, its value.
//
// Half models: tables in float32 make queries and keys float32, so scores and
// the cache's keys are; values, and its values, are half. As in 4.34.
// Matches: transformers 4.34 `GPTNeoXAttention`.
class GPTNeoXAttention
    : public CallableModule<GPTNeoXLayerArguments, GPTNeoXLayerResult>,
      public FusableAttention {
 public:
  GPTNeoXAttention(const ModuleNode& node, const ModuleOptions& options,
                   const GPTNeoXConfig& config,
                   std::shared_ptr<RotaryState> state);

  const RotaryEmbedding& rotary() const { return *rotary_; }

  // The causal mask and the value of what it hides, which forward has no use
  // for; the peer registers them.
  void ComputeBuffers(at::Device device) override;

 protected:
  GPTNeoXLayerResult Forward(const GPTNeoXLayerArguments& arguments) override;

 private:
  const int64_t head_size_;
  std::shared_ptr<RotaryEmbedding> rotary_;
  std::shared_ptr<Linear> query_key_value_;
  std::shared_ptr<Linear> dense_;
  std::shared_ptr<Dropout> dropout_;
};

// Matches: transformers 4.34 `GPTNeoXMLP`.
class GPTNeoXFeedForward : public CallableModule<OneTensor, OneTensor> {
 public:
  GPTNeoXFeedForward(const ModuleNode& node, const ModuleOptions& options,
                     const GPTNeoXConfig& config);

 protected:
  OneTensor Forward(const OneTensor& input) override;

 private:
  std::shared_ptr<Linear> up_;
  std::shared_ptr<Linear> down_;
  std::shared_ptr<Activation> activation_;
};

// Matches: transformers 4.34 `GPTNeoXLayer`.
class GPTNeoXLayer
    : public CheckpointedBlock<GPTNeoXLayerArguments, GPTNeoXLayerResult> {
 public:
  GPTNeoXLayer(const ModuleNode& node, const ModuleOptions& options,
               const GPTNeoXConfig& config, std::shared_ptr<RotaryState> state);

  const GPTNeoXAttention& attention() const { return *attention_; }

 protected:
  GPTNeoXLayerResult Forward(const GPTNeoXLayerArguments& arguments) override;

 private:
  const bool is_parallel_;
  std::shared_ptr<LayerNorm> input_norm_;
  std::shared_ptr<LayerNorm> middle_norm_;
  std::shared_ptr<Dropout> attention_dropout_;
  std::shared_ptr<Dropout> feed_forward_dropout_;
  std::shared_ptr<GPTNeoXAttention> attention_;
  std::shared_ptr<GPTNeoXFeedForward> feed_forward_;
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_GPT_NEOX_GPT_NEOX_LAYER_H_
