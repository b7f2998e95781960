#ifndef PRETRAINED_MODELING_DISTILBERT_DISTILBERT_LAYER_H_
#define PRETRAINED_MODELING_DISTILBERT_DISTILBERT_LAYER_H_

#include <cstdint>
#include <memory>

#include "ATen/core/Tensor.h"
#include "c10/core/Device.h"
#include "device_map/module_tree.h"
#include "modeling/better_transformer.h"
#include "modeling/distilbert/distilbert_config.h"
#include "modeling/gradient_checkpointing.h"
#include "modeling/layers.h"
#include "modeling/module.h"

namespace pretrained {

// DistilBERT's modules. Shapes: batch b, tokens s, heads h, vectors of size e.

struct DistilBertEmbeddingsArguments {
  at::Tensor input_ids;      // [b, s], or undefined where inputs_embeds is not.
  at::Tensor inputs_embeds;  // [b, s, e]

  template <typename F>
  void ForEachTensor(F&& visit) {
    visit(input_ids);
    visit(inputs_embeds);
  }
};

// Word and position embeddings, summed and normed: [b, s, e].
class DistilBertEmbeddings
    : public CallableModule<DistilBertEmbeddingsArguments, OneTensor> {
 public:
  // Sinusoidal positions get no gradient.
  DistilBertEmbeddings(const ModuleNode& node, const ModuleOptions& options,
                       const DistilBertConfig& config);

  // position_ids 0, 1, .., [1, max positions].
  void ComputeBuffers(at::Device device) override;

  // The table got another number of rows: so many have ids from here on.
  void SetNumPositions(int64_t num_positions);

  Embedding& word_embeddings() { return *word_embeddings_; }

 protected:
  OneTensor Forward(const DistilBertEmbeddingsArguments& arguments) override;

 private:
  std::shared_ptr<Embedding> word_embeddings_;
  std::shared_ptr<Embedding> position_embeddings_;
  std::shared_ptr<LayerNorm> norm_;
  std::shared_ptr<Dropout> dropout_;
};

// Rows of sines, in even columns, and cosines of each position, at frequencies
// that fall from column to column: [positions, size], float32 on the CPU.
// Matches: transformers 4.34 modeling_distilbert.py
//     `create_sinusoidal_embeddings`.
at::Tensor SinusoidalPositions(int64_t positions, int64_t size);

struct DistilBertBlockArguments {
  at::Tensor hidden_states;   // [b, s, e]
  at::Tensor attention_mask;  // Added to scores: [b, 1, 1, s], or undefined.
  at::Tensor head_mask;       // Times probabilities: [1, h, 1, 1].
  bool need_probabilities = true;  // Without them attention is one kernel.

  template <typename F>
  void ForEachTensor(F&& visit) {
    visit(hidden_states);
    visit(attention_mask);
    visit(head_mask);
  }
};

struct DistilBertBlockResult {
  at::Tensor hidden_states;
  at::Tensor attention;  // [b, h, s, s]; may be undefined if not needed.

  template <typename F>
  void ForEachTensor(F&& visit) {
    visit(hidden_states);
    visit(attention);
  }
};

// transformers' MultiHeadSelfAttention.
class DistilBertAttention
    : public CallableModule<DistilBertBlockArguments, DistilBertBlockResult>,
      public FusableAttention {
 public:
  DistilBertAttention(const ModuleNode& node, const ModuleOptions& options,
                      const DistilBertConfig& config);

 protected:
  DistilBertBlockResult Forward(
      const DistilBertBlockArguments& arguments) override;

 private:
  const int64_t head_size_;
  std::shared_ptr<Dropout> dropout_;
  std::shared_ptr<Linear> query_;
  std::shared_ptr<Linear> key_;
  std::shared_ptr<Linear> value_;
  std::shared_ptr<Linear> out_;
};

// transformers' FFN.
class DistilBertFeedForward : public CallableModule<OneTensor, OneTensor> {
 public:
  DistilBertFeedForward(const ModuleNode& node, const ModuleOptions& options,
                        const DistilBertConfig& config);

 protected:
  OneTensor Forward(const OneTensor& input) override;

 private:
  const int64_t chunk_size_;
  std::shared_ptr<Dropout> dropout_;
  std::shared_ptr<Linear> up_;
  std::shared_ptr<Linear> down_;
  std::shared_ptr<Activation> activation_;
};

// transformers' TransformerBlock: attention and a feed-forward layer, each of
// whose results is added to what it came from, and normed.
class DistilBertBlock : public CheckpointedBlock<DistilBertBlockArguments,
                                                 DistilBertBlockResult> {
 public:
  DistilBertBlock(const ModuleNode& node, const ModuleOptions& options,
                  const DistilBertConfig& config);

 protected:
  DistilBertBlockResult Forward(
      const DistilBertBlockArguments& arguments) override;

 private:
  std::shared_ptr<DistilBertAttention> attention_;
  std::shared_ptr<LayerNorm> attention_norm_;
  std::shared_ptr<DistilBertFeedForward> feed_forward_;
  std::shared_ptr<LayerNorm> output_norm_;
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_DISTILBERT_DISTILBERT_LAYER_H_
