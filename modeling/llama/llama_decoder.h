#ifndef PRETRAINED_MODELING_LLAMA_LLAMA_DECODER_H_
#define PRETRAINED_MODELING_LLAMA_LLAMA_DECODER_H_

#include <cstdint>
#include <memory>

#include "ATen/core/Tensor.h"
#include "device_map/module_tree.h"
#include "modeling/better_transformer.h"
#include "modeling/gradient_checkpointing.h"
#include "modeling/key_value_store.h"
#include "modeling/layers.h"
#include "modeling/llama/llama_config.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/rotary.h"

namespace pretrained {

// One layer of LLaMA and its parts. Shapes: batch b, new tokens q, tokens with
// the cached ones k, hidden size e, heads h, key value heads g, head size d.

struct LlamaLayerArguments {
  at::Tensor hidden_states;  // [b, q, e]
  at::Tensor bias;           // Added to scores; undefined for none.
  RotaryTables rotary;       // At the new tokens' positions.
  LayerCache past;           // Key and value [b, g, k - q, d]; or empty.
  KeyValueStore::Layer* store = nullptr;
  bool is_causal = false;  // See AttentionArguments.
  bool output_attentions = false;
  bool use_cache = false;

  template <typename F>
  void ForEachTensor(F&& visit) {
    visit(hidden_states);
    visit(bias);
    rotary.ForEachTensor(visit);
    for (at::Tensor& tensor : past) visit(tensor);
  }
};

struct LlamaLayerResult {
  at::Tensor hidden_states;  // [b, q, e]
  at::Tensor attention;      // [b, h, q, k]; undefined unless asked for.
  LayerCache present;        // Key and value [b, g, k, d]; or empty.

  template <typename F>
  void ForEachTensor(F&& visit) {
    visit(hidden_states);
    visit(attention);
    for (at::Tensor& tensor : present) visit(tensor);
  }
};

// Matches: transformers 4.34 `LlamaAttention`: with pretraining_tp above 1 its
//     projections have no bias, whatever attention_bias says.
class LlamaAttention
    : public CallableModule<LlamaLayerArguments, LlamaLayerResult>,
      public FusableAttention {
 public:
  LlamaAttention(const ModuleNode& node, const ModuleOptions& options,
                 const LlamaConfig& config, std::shared_ptr<RotaryState> state);

  const RotaryEmbedding& rotary() const { return *rotary_; }

 protected:
  LlamaLayerResult Forward(const LlamaLayerArguments& arguments) override;

 private:
  at::Tensor Project(Linear& linear, const at::Tensor& x) const;

  const int64_t head_size_;
  const bool drops_bias_;
  std::shared_ptr<Linear> query_;
  std::shared_ptr<Linear> key_;
  std::shared_ptr<Linear> value_;
  std::shared_ptr<Linear> output_;
  std::shared_ptr<RotaryEmbedding> rotary_;
};

// down(act(gate(x)) * up(x)).
// Matches: transformers 4.34 `LlamaMLP`: with pretraining_tp above 1, inner
//     numbers beyond a multiple of it count for nothing.
class LlamaFeedForward : public CallableModule<OneTensor, OneTensor> {
 public:
  LlamaFeedForward(const ModuleNode& node, const ModuleOptions& options,
                   const LlamaConfig& config);

 protected:
  OneTensor Forward(const OneTensor& input) override;

 private:
  const int64_t inner_;  // Inner numbers that count.
  const bool is_cut_;    // Whether those are not all.
  std::shared_ptr<Linear> gate_;
  std::shared_ptr<Linear> up_;
  std::shared_ptr<Linear> down_;
  std::shared_ptr<Activation> activation_;
};

// Matches: transformers 4.34 `LlamaDecoderLayer`.
class LlamaLayer
    : public CheckpointedBlock<LlamaLayerArguments, LlamaLayerResult> {
 public:
  LlamaLayer(const ModuleNode& node, const ModuleOptions& options,
             const LlamaConfig& config, std::shared_ptr<RotaryState> state);

  const LlamaAttention& attention() const { return *attention_; }

 protected:
  LlamaLayerResult Forward(const LlamaLayerArguments& arguments) override;

 private:
  std::shared_ptr<LlamaAttention> attention_;
  std::shared_ptr<LlamaFeedForward> feed_forward_;
  std::shared_ptr<RmsNorm> input_norm_;
  std::shared_ptr<RmsNorm> middle_norm_;
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_LLAMA_LLAMA_DECODER_H_
