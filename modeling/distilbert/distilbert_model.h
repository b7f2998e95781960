#ifndef PRETRAINED_MODELING_DISTILBERT_DISTILBERT_MODEL_H_
#define PRETRAINED_MODELING_DISTILBERT_DISTILBERT_MODEL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "modeling/distilbert/distilbert_config.h"
#include "modeling/distilbert/distilbert_inputs.h"
#include "modeling/distilbert/distilbert_layer.h"
#include "modeling/from_pretrained.h"
#include "modeling/model_layout.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/pretrained_config.h"
#include "modeling/pretrained_model.h"

namespace pretrained {

// DistilBERT without a head: BERT's encoder without token types and pooler.
//
//   auto model = DistilBertModel::FromPretrained("distilbert-base-uncased");
//   auto output = (*model)->Forward({.input_ids = ids});
//   output->last_hidden_state;   // [batch, tokens, 768]
//
// Threads: as PretrainedModel.
// Matches: transformers 4.34 modeling_distilbert.py `DistilBertModel`.
// Differs: see InitializeTensor(). An attention_mask is [batch, tokens]; 4.34
//     takes any shape with as many elements. Of more positions, new ones begin
//     as the family's weights do, or as sines; 4.34 draws them from Normal(0,
//     1), fails for sines, and cannot run tokens beyond the old number.
class DistilBertModel : public PretrainedModel,
                        public Loadable<DistilBertModel> {
 public:
  DistilBertModel(PretrainedConfig config, const DistilBertConfig& distil,
                  ModelLayout layout, const ModuleOptions& options);

  static const ModelClass& Class();

  absl::StatusOr<BaseModelOutput> Forward(const DistilBertModelInputs& inputs,
                                          const ForwardOptions& options = {});

  absl::StatusOr<ModelOutput> Call(const NamedTensors& inputs,
                                   const ForwardOptions& options = {}) override;

  // Normal(0, initializer_range), biases 0, norms 1, the padding row 0; and
  // positions as sinusoidal_pos_embds says.
  // Matches: `DistilBertPreTrainedModel._init_weights`.
  // Differs: 4.34 makes sinusoidal positions, and then draws others over them.
  void InitializeTensor(const TensorToInitialize& target) const override;

  std::string InputEmbeddingsPath() const override {
    return "embeddings.word_embeddings";
  }
  std::string PositionEmbeddingsPath() const override {
    return "embeddings.position_embeddings";
  }

  const DistilBertConfig& distilbert_config() const { return distil_; }

 protected:
  std::optional<AttentionHeads> attention_heads() const override;
  void TakePrunedHeads(const PrunedHeads& pruned) override {
    distil_.pruned_heads = pruned;
  }
  void TakeVocabSize(int64_t vocab_size) override {
    distil_.vocab_size = vocab_size;
  }
  void TakeNumPositions(int64_t num_positions) override;

 private:
  DistilBertConfig distil_;
  std::shared_ptr<DistilBertEmbeddings> embeddings_;
  std::vector<std::shared_ptr<DistilBertBlock>> blocks_;
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_DISTILBERT_DISTILBERT_MODEL_H_
