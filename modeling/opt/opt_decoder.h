#ifndef PRETRAINED_MODELING_OPT_OPT_DECODER_H_
#define PRETRAINED_MODELING_OPT_OPT_DECODER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "ATen/core/Tensor.h"
#include "device_map/module_tree.h"
#include "modeling/better_transformer.h"
#include "modeling/gradient_checkpointing.h"
#include "modeling/key_value_store.h"
#include "modeling/layers.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/opt/opt_config.h"

namespace pretrained {

// The modules of OPT. Shapes: batch b, new tokens q, tokens with the cached
// ones k, hidden size e, heads h, head size d, size of token embeddings w.

struct OPTLayerArguments {
  at::Tensor hidden_states;  // [b, q, e]
  at::Tensor bias;           // Added to scores, [1 or b, 1, q, k]; or none.
  at::Tensor head_mask;      // Times probabilities: [1, h, 1, 1]; or none.
  LayerCache past;           // Key and value [b, h, k - q, d]; or empty.
  KeyValueStore::Layer* store = nullptr;
  bool is_causal = false;  // See AttentionArguments.
  bool output_attentions = false;
  bool use_cache = false;

  template <typename F>
  void ForEachTensor(F&& visit) {
    for (at::Tensor* tensor : {&hidden_states, &bias, &head_mask})
      visit(*tensor);
    for (at::Tensor& tensor : past) visit(tensor);
  }
};

struct OPTLayerResult {
  at::Tensor hidden_states;  // [b, q, e]
  at::Tensor attention;      // [b, h, q, k]; undefined unless asked for.
  LayerCache present;        // Key and value [b, h, k, d]; or empty.

  template <typename F>
  void ForEachTensor(F&& visit) {
    for (at::Tensor* tensor : {&hidden_states, &attention}) visit(*tensor);
    for (at::Tensor& tensor : present) visit(tensor);
  }
};

// Queries are scaled before they meet keys, so that scores fit float16.
// Matches: transformers 4.34 `OPTAttention`.
class OPTAttention : public CallableModule<OPTLayerArguments, OPTLayerResult>,
                     public FusableAttention {
 public:
  OPTAttention(const ModuleNode& node, const ModuleOptions& options,
               const OPTConfig& config);

 protected:
  OPTLayerResult Forward(const OPTLayerArguments& arguments) override;

 private:
  const int64_t head_size_;
  const double dropout_;
  std::shared_ptr<Linear> key_;
  std::shared_ptr<Linear> value_;
  std::shared_ptr<Linear> query_;
  std::shared_ptr<Linear> output_;
};

// Attention and feed-forward, each with a norm before it or after its residual.
// Matches: transformers 4.34 `OPTDecoderLayer`.
class OPTDecoderLayer
    : public CheckpointedBlock<OPTLayerArguments, OPTLayerResult> {
 public:
  OPTDecoderLayer(const ModuleNode& node, const ModuleOptions& options,
                  const OPTConfig& config);

 protected:
  OPTLayerResult Forward(const OPTLayerArguments& arguments) override;

 private:
  at::Tensor Drop(const at::Tensor& x) const;

  const bool norm_before_;
  const double dropout_;
  std::shared_ptr<OPTAttention> attention_;
  std::shared_ptr<Activation> activation_;
  std::shared_ptr<LayerNorm> attention_norm_;
  std::shared_ptr<Linear> fc1_;
  std::shared_ptr<Linear> fc2_;
  std::shared_ptr<LayerNorm> final_norm_;
};

struct OPTDecoderArguments {
  at::Tensor input_ids;               // [b, q]; or inputs_embeds instead.
  at::Tensor inputs_embeds;           // [b, q, w]
  at::Tensor position_rows;           // [1 or b, q], see OPTInputFacts.
  at::Tensor bias;                    // As in OPTLayerArguments.
  std::vector<at::Tensor> head_mask;  // One a layer, or none.
  KeyValueCache past;                 // One entry a layer, or none.
  KeyValueStore* store = nullptr;
  bool is_causal = false;
  bool output_attentions = false;
  bool output_hidden_states = false;
  bool use_cache = false;

  template <typename F>
  void ForEachTensor(F&& visit) {
    for (at::Tensor* tensor :
         {&input_ids, &inputs_embeds, &position_rows, &bias})
      visit(*tensor);
    for (at::Tensor& tensor : head_mask) visit(tensor);
    for (LayerCache& layer : past) {
      for (at::Tensor& tensor : layer) visit(tensor);
    }
  }
};

struct OPTDecoderResult {
  BaseModelOutput output;  // last_hidden_state [b, q, w].

  template <typename F>
  void ForEachTensor(F&& visit) {
    visit(output.last_hidden_state);
    for (LayerCache& layer : output.past_key_values) {
      for (at::Tensor& tensor : layer) visit(tensor);
    }
    for (auto* tensors : {&output.hidden_states, &output.attentions}) {
      for (at::Tensor& tensor : *tensors) visit(tensor);
    }
  }
};

// Embeddings of tokens and positions, layers, a norm; where token embeddings
// have a size of their own, matrices from and to it.
// Matches: transformers 4.34 `OPTDecoder`.
class OPTDecoder
    : public CallableModule<OPTDecoderArguments, OPTDecoderResult> {
 public:
  OPTDecoder(const ModuleNode& node, const ModuleOptions& options,
             const OPTConfig& config);

  const Embedding& embed_tokens() const { return *embed_tokens_; }

 protected:
  OPTDecoderResult Forward(const OPTDecoderArguments& arguments) override;

 private:
  at::Tensor Embed(const OPTDecoderArguments& arguments);
  // Whether a layer is left out, now and then, in training.
  bool SkipsLayer() const;

  const double layerdrop_;
  std::shared_ptr<Embedding> embed_tokens_;
  std::shared_ptr<Embedding> embed_positions_;
  std::shared_ptr<Linear> project_out_;          // Null without.
  std::shared_ptr<Linear> project_in_;           // Null without.
  std::shared_ptr<LayerNorm> final_layer_norm_;  // Null without.
  std::vector<std::shared_ptr<OPTDecoderLayer>> layers_;
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_OPT_OPT_DECODER_H_
