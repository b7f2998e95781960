#ifndef PRETRAINED_MODELING_BERT_BERT_MODEL_H_
#define PRETRAINED_MODELING_BERT_BERT_MODEL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "modeling/bert/bert_config.h"
#include "modeling/bert/bert_embeddings.h"
#include "modeling/bert/bert_encoder.h"
#include "modeling/bert/bert_inputs.h"
#include "modeling/from_pretrained.h"
#include "modeling/layers.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/pretrained_model.h"

namespace pretrained {

// What it returns, under the names of the peer's
// BaseModelOutputWithPoolingAndCrossAttentions.
struct BertModelOutput : BaseModelOutput {
  at::Tensor pooler_output;  // [b, e]; undefined without a pooler.

  ModelOutput ToNamed() const;
};

// The encoder, or decoder, of BERT and of its kin, whose modules are BERT's
// under other names (RoBERTa): what a family's model without a head derives
// from, and models with a head hold.
//
// Threads: as PretrainedModel.
class BertLikeModel : public PretrainedModel {
 public:
  BertLikeModel(PretrainedConfig config, const BertConfig& bert,
                ModelLayout layout, const ModuleOptions& options);

  absl::StatusOr<BertModelOutput> Forward(const BertModelInputs& inputs,
                                          const ForwardOptions& options = {});

  absl::StatusOr<ModelOutput> Call(const NamedTensors& inputs,
                                   const ForwardOptions& options = {}) override;

  // Normal(0, initializer_range), biases 0, norms 1, the padding row 0.
  // Matches: `BertPreTrainedModel._init_weights`.
  void InitializeTensor(const TensorToInitialize& target) const override;

  std::string InputEmbeddingsPath() const override {
    return "embeddings.word_embeddings";
  }

  const BertConfig& bert_config() const { return bert_; }

 protected:
  // Self-attention's alone.
  std::optional<AttentionHeads> attention_heads() const override;
  void TakePrunedHeads(const PrunedHeads& pruned) override {
    bert_.pruned_heads = pruned;
  }
  void TakeVocabSize(int64_t vocab_size) override {
    bert_.vocab_size = vocab_size;
  }

 private:
  absl::StatusOr<BertEncoderArguments> PrepareMasks(
      const BertModelInputs& inputs, const ForwardOptions& options);

  BertConfig bert_;
  std::shared_ptr<BertEmbeddings> embeddings_;
  std::shared_ptr<BertEncoder> encoder_;
  std::shared_ptr<Linear> pooler_dense_;  // Null without a pooler.
  std::shared_ptr<Activation> pooler_activation_;
};

// BERT without a head: an encoder, or a decoder when the config says so.
//
//   auto model = BertModel::FromPretrained("all-MiniLM-L6-v2");
//   auto output = (*model)->Forward({.input_ids = ids});
//   output->last_hidden_state;   // [batch, tokens, 384]
//
// Matches: transformers 4.34 modeling_bert.py `BertModel`.
// Differs: with a cache and relative positions, each of several new tokens has
//     its own distances; 4.34 gives all of them those of the last.
class BertModel : public BertLikeModel, public Loadable<BertModel> {
 public:
  using BertLikeModel::BertLikeModel;

  static const ModelClass& Class();
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_BERT_BERT_MODEL_H_
