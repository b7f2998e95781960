#ifndef PRETRAINED_MODELING_BERT_BERT_ENCODER_H_
#define PRETRAINED_MODELING_BERT_BERT_ENCODER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "ATen/core/Tensor.h"
#include "device_map/module_tree.h"
#include "modeling/bert/bert_attention.h"
#include "modeling/bert/bert_config.h"
#include "modeling/gradient_checkpointing.h"
#include "modeling/key_value_store.h"
#include "modeling/layers.h"
#include "modeling/model_output.h"
#include "modeling/module.h"

namespace pretrained {

struct BertLayerArguments {
  at::Tensor hidden_states;           // [b, q, e]
  at::Tensor attention_mask;          // Added to scores.
  at::Tensor head_mask;               // For this layer.
  at::Tensor encoder_hidden_states;   // Undefined without cross-attention.
  at::Tensor encoder_attention_mask;  // Added to cross-attention's scores.
  LayerCache past;                    // Empty at the first token.
  KeyValueStore::Layer* store = nullptr;
  bool need_probabilities = true;  // `attention` and `cross_attention`.

  template <typename F>
  void ForEachTensor(F&& visit) {
    for (at::Tensor* tensor :
         {&hidden_states, &attention_mask, &head_mask, &encoder_hidden_states,
          &encoder_attention_mask}) {
      visit(*tensor);
    }
    for (at::Tensor& tensor : past) visit(tensor);
  }
};

struct BertLayerResult {
  at::Tensor hidden_states;
  at::Tensor attention;        // [b, h, q, q + cached]
  at::Tensor cross_attention;  // Undefined without cross-attention.
  LayerCache present;

  template <typename F>
  void ForEachTensor(F&& visit) {
    visit(hidden_states);
    visit(attention);
    visit(cross_attention);
    for (at::Tensor& tensor : present) visit(tensor);
  }
};

class BertIntermediate : public CallableModule<OneTensor, OneTensor> {
 public:
  BertIntermediate(const ModuleNode& node, const ModuleOptions& options,
                   const BertConfig& config);

 protected:
  OneTensor Forward(const OneTensor& input) override;

 private:
  std::shared_ptr<Linear> dense_;
  std::shared_ptr<Activation> activation_;
};

class BertLayer
    : public CheckpointedBlock<BertLayerArguments, BertLayerResult> {
 public:
  BertLayer(const ModuleNode& node, const ModuleOptions& options,
            const BertConfig& config);

  bool has_cross_attention() const { return cross_attention_ != nullptr; }

 protected:
  BertLayerResult Forward(const BertLayerArguments& arguments) override;

 private:
  // In chunks of `chunk_size_` tokens when that is not 0, to bound memory.
  at::Tensor FeedForward(const at::Tensor& hidden_states);

  const int64_t chunk_size_;
  std::shared_ptr<BertAttention> attention_;
  std::shared_ptr<BertAttention> cross_attention_;  // Null without.
  std::shared_ptr<BertIntermediate> intermediate_;
  std::shared_ptr<BertOutput> output_;
};

struct BertEncoderArguments {
  at::Tensor hidden_states;
  at::Tensor attention_mask;
  std::vector<at::Tensor> head_mask;  // One entry a layer; may be undefined.
  at::Tensor encoder_hidden_states;
  at::Tensor encoder_attention_mask;
  KeyValueCache past_key_values;  // Empty, or one a layer.
  KeyValueStore* store = nullptr;
  bool output_attentions = false;
  bool output_hidden_states = false;
  bool use_cache = false;

  template <typename F>
  void ForEachTensor(F&& visit) {
    for (at::Tensor* tensor :
         {&hidden_states, &attention_mask, &encoder_hidden_states,
          &encoder_attention_mask}) {
      visit(*tensor);
    }
    for (at::Tensor& tensor : head_mask) visit(tensor);
    for (LayerCache& layer : past_key_values) {
      for (at::Tensor& tensor : layer) visit(tensor);
    }
  }
};

struct BertEncoderResult : BaseModelOutput {
  template <typename F>
  void ForEachTensor(F&& visit) {
    visit(last_hidden_state);
    for (LayerCache& layer : past_key_values) {
      for (at::Tensor& tensor : layer) visit(tensor);
    }
    for (auto* tensors : {&hidden_states, &attentions, &cross_attentions}) {
      for (at::Tensor& tensor : *tensors) visit(tensor);
    }
  }
};

class BertEncoder
    : public CallableModule<BertEncoderArguments, BertEncoderResult> {
 public:
  BertEncoder(const ModuleNode& node, const ModuleOptions& options,
              const BertConfig& config);

  BertLayer& layer(int64_t index) { return *layers_[index]; }

 protected:
  BertEncoderResult Forward(const BertEncoderArguments& arguments) override;

 private:
  std::vector<std::shared_ptr<BertLayer>> layers_;
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_BERT_BERT_ENCODER_H_
