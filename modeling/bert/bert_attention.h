#ifndef PRETRAINED_MODELING_BERT_BERT_ATTENTION_H_
#define PRETRAINED_MODELING_BERT_BERT_ATTENTION_H_

#include <cstdint>
#include <memory>
#include <string>

#include "ATen/core/Tensor.h"
#include "device_map/module_tree.h"
#include "modeling/bert/bert_config.h"
#include "modeling/better_transformer.h"
#include "modeling/key_value_store.h"
#include "modeling/layers.h"
#include "modeling/module.h"

namespace pretrained {

// Tensors that are not given are undefined. Shapes: batch b, queries q, keys k,
// heads h, head size d, hidden size e = h d.
struct BertAttentionArguments {
  at::Tensor hidden_states;          // [b, q, e]
  at::Tensor attention_mask;         // Added to scores: [b, 1, 1 or q, k].
  at::Tensor head_mask;              // Times probabilities: [1 or b, h, 1, 1].
  at::Tensor encoder_hidden_states;  // Cross-attention's: [b, k, e].
  at::Tensor past_key;               // Cached: [b, h, k - q, d].
  at::Tensor past_value;
  KeyValueStore::Layer* store = nullptr;  // Of self-attention.
  bool need_probabilities = true;  // Without them attention is one kernel.

  template <typename F>
  void ForEachTensor(F&& visit) {
    for (at::Tensor* tensor :
         {&hidden_states, &attention_mask, &head_mask, &encoder_hidden_states,
          &past_key, &past_value}) {
      visit(*tensor);
    }
  }
};

struct BertAttentionResult {
  at::Tensor hidden_states;  // [b, q, e]
  at::Tensor probabilities;  // [b, h, q, k]; may be undefined if not needed.
  at::Tensor key;            // What to cache: [b, h, k, d].
  at::Tensor value;

  template <typename F>
  void ForEachTensor(F&& visit) {
    for (at::Tensor* tensor : {&hidden_states, &probabilities, &key, &value}) {
      visit(*tensor);
    }
  }
};

// A projection, dropout, and a norm of the sum with what came before.
struct BertOutputArguments {
  at::Tensor hidden_states;
  at::Tensor residual;

  template <typename F>
  void ForEachTensor(F&& visit) {
    visit(hidden_states);
    visit(residual);
  }
};

// transformers' BertSelfOutput and BertOutput, which compute the same.
class BertOutput : public CallableModule<BertOutputArguments, OneTensor> {
 public:
  BertOutput(const ModuleNode& node, const ModuleOptions& options,
             const BertConfig& config);

  Linear& dense() { return *dense_; }

 protected:
  OneTensor Forward(const BertOutputArguments& arguments) override;

 private:
  std::shared_ptr<Linear> dense_;
  std::shared_ptr<LayerNorm> norm_;
  std::shared_ptr<Dropout> dropout_;
};

// Scaled dot-product attention of several heads over the sequence itself, over
// cached keys and values before it, or over encoder states.
class BertSelfAttention
    : public CallableModule<BertAttentionArguments, BertAttentionResult>,
      public FusableAttention {
 public:
  // `position_embedding_type` is the config's, or "absolute" for
  // cross-attention.
  BertSelfAttention(const ModuleNode& node, const ModuleOptions& options,
                    const BertConfig& config,
                    const std::string& position_embedding_type);

  Linear& query() { return *query_; }
  Linear& key() { return *key_; }
  Linear& value() { return *value_; }

 protected:
  BertAttentionResult Forward(const BertAttentionArguments& arguments) override;

 private:
  // What relative positions add to the scores before these are scaled:
  // [b, h, q, k].
  at::Tensor RelativeScores(const at::Tensor& query, const at::Tensor& key);
  // What is added to the scaled scores; undefined for nothing.
  at::Tensor ScoreBias(const at::Tensor& query, const at::Tensor& key,
                       const at::Tensor& attention_mask);

  const int64_t head_size_;
  const double scale_;
  const int64_t max_position_embeddings_;
  const std::string position_embedding_type_;
  std::shared_ptr<Linear> query_;
  std::shared_ptr<Linear> key_;
  std::shared_ptr<Linear> value_;
  std::shared_ptr<Dropout> dropout_;
  std::shared_ptr<Embedding> distance_embedding_;  // Null when absolute.
};

class BertAttention
    : public CallableModule<BertAttentionArguments, BertAttentionResult> {
 public:
  BertAttention(const ModuleNode& node, const ModuleOptions& options,
                const BertConfig& config,
                const std::string& position_embedding_type);

 protected:
  BertAttentionResult Forward(const BertAttentionArguments& arguments) override;

 private:
  std::shared_ptr<BertSelfAttention> self_;
  std::shared_ptr<BertOutput> output_;
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_BERT_BERT_ATTENTION_H_
