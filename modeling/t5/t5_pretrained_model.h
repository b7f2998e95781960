#ifndef PRETRAINED_MODELING_T5_T5_PRETRAINED_MODEL_H_
#define PRETRAINED_MODELING_T5_T5_PRETRAINED_MODEL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "modeling/attention_heads.h"
#include "modeling/layers.h"
#include "modeling/model_layout.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/pretrained_config.h"
#include "modeling/pretrained_model.h"
#include "modeling/seq2seq_output.h"
#include "modeling/t5/t5_config.h"
#include "modeling/t5/t5_inputs.h"
#include "modeling/t5/t5_stack.h"

namespace pretrained {

// What T5's classes have in common: embeddings, an encoder, and how weights
// begin.
// Matches: transformers 4.34 modeling_t5.py `T5PreTrainedModel`.
class T5PreTrainedModel : public PretrainedModel {
 public:
  const T5Config& t5_config() const { return t5_; }

  // Each kind of matrix with a deviation of its own, times initializer_factor.
  // Matches: `T5PreTrainedModel._init_weights`.
  void InitializeTensor(const TensorToInitialize& target) const override;

  std::string InputEmbeddingsPath() const override { return "shared"; }

  // The decoder's, too.
  NamedTensors dummy_inputs() const override;

  // See pretrained::ShiftRight().
  absl::StatusOr<at::Tensor> ShiftRight(const at::Tensor& labels) const;

 protected:
  T5PreTrainedModel(PretrainedConfig config, const T5Config& t5,
                    ModelLayout layout, const ModuleOptions& options,
                    bool encoder_is_decoder);

  // Runs the encoder.
  absl::StatusOr<BaseModelOutput> Encode(const T5EncoderInputs& inputs,
                                         const ForwardOptions& options);

  const std::shared_ptr<Embedding>& shared() const { return shared_; }

  // Those of the encoder's self-attention, as in T5EncoderModel of 4.34.
  std::optional<AttentionHeads> attention_heads() const override;
  void TakePrunedHeads(const PrunedHeads& pruned) override;
  void TakeVocabSize(int64_t vocab_size) override {
    t5_.vocab_size = vocab_size;
  }

 private:
  T5Config t5_;
  std::shared_ptr<Embedding> shared_;
  std::shared_ptr<T5Stack> encoder_;
};

// The models with a decoder too.
class T5EncoderDecoder : public T5PreTrainedModel {
 protected:
  T5EncoderDecoder(PretrainedConfig config, const T5Config& t5,
                   ModelLayout layout, const ModuleOptions& options);

  // Both stacks, over inputs that were checked; labels and logits are the
  // caller's business.
  absl::StatusOr<Seq2SeqOutput> EncodeAndDecode(const T5Inputs& inputs,
                                                const ForwardOptions& options);

  void TakePrunedHeads(const PrunedHeads& pruned) override;

 private:
  absl::StatusOr<BaseModelOutput> Decode(const T5Inputs& inputs,
                                         const at::Tensor& encoder_states,
                                         const ForwardOptions& options);

  std::shared_ptr<T5Stack> decoder_;
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_T5_T5_PRETRAINED_MODEL_H_
