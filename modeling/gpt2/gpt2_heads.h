#ifndef PRETRAINED_MODELING_GPT2_GPT2_HEADS_H_
#define PRETRAINED_MODELING_GPT2_GPT2_HEADS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "modeling/from_pretrained.h"
#include "modeling/gpt2/gpt2_config.h"
#include "modeling/gpt2/gpt2_inputs.h"
#include "modeling/gpt2/gpt2_model.h"
#include "modeling/layers.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/pretrained_model.h"

namespace pretrained {

// GPT-2 with one matrix on top of each token's vector: what its classes with a
// head have in common.
class GPT2WithHead : public PretrainedModel {
 public:
  absl::StatusOr<ModelOutput> Call(const NamedTensors& inputs,
                                   const ForwardOptions& options = {}) override;
  virtual absl::StatusOr<HeadOutput> Forward(
      const GPT2HeadInputs& inputs, const ForwardOptions& options = {}) = 0;

  void InitializeTensor(const TensorToInitialize& target) const override;
  std::string InputEmbeddingsPath() const override { return "transformer.wte"; }
  std::vector<std::string> GenerationInputs() const override {
    return {"position_ids", "token_type_ids", "inputs_embeds"};
  }

 protected:
  // `head_name` is the matrix's name in the layout.
  GPT2WithHead(PretrainedConfig config, const GPT2Config& gpt2,
               ModelLayout layout, const ModuleOptions& options,
               absl::string_view head_name);

  // Whether forward takes encoder states.
  virtual bool takes_encoder() const = 0;
  const GPT2Config& gpt2_config() const { return transformer_->gpt2_config(); }

  // The head's logits for each token, [b, s, ..], and what the model below
  // says.
  absl::StatusOr<HeadOutput> TokenLogits(const GPT2ModelInputs& inputs,
                                         const ForwardOptions& options);

 private:
  std::shared_ptr<GPT2Model> transformer_;
  std::shared_ptr<Linear> head_;
};

// Predicts each next token: logits [b, s, vocab_size]. With labels [b, s],
// which are the input ids themselves (shifted within), -100 for none, the loss.
//
//   auto model = GPT2LMHeadModel::FromPretrained("gpt2");
//   auto output = (*model)->Forward({{.input_ids = ids}, .labels = ids});
//
// Matches: transformers 4.34 modeling_gpt2.py `GPT2LMHeadModel`.
class GPT2LMHeadModel : public GPT2WithHead, public Loadable<GPT2LMHeadModel> {
 public:
  GPT2LMHeadModel(PretrainedConfig config, const GPT2Config& gpt2,
                  ModelLayout layout, const ModuleOptions& options);
  static const ModelClass& Class();

  absl::StatusOr<HeadOutput> Forward(
      const GPT2HeadInputs& inputs,
      const ForwardOptions& options = {}) override;
  std::string OutputEmbeddingsPath() const override { return "lm_head"; }

 protected:
  bool takes_encoder() const override { return true; }
};

// Classifies sequences by their last token before padding: logits
// [b, num_labels]. The config's pad_token_id says what padding is; without one,
// a sequence at a time. With labels, [b] or [b, num_labels], the loss of the
// config's problem_type.
// Matches: transformers 4.34 modeling_gpt2.py `GPT2ForSequenceClassification`.
// Differs: a problem_type that follows from labels is not remembered.
class GPT2ForSequenceClassification
    : public GPT2WithHead,
      public Loadable<GPT2ForSequenceClassification> {
 public:
  GPT2ForSequenceClassification(PretrainedConfig config, const GPT2Config& gpt2,
                                ModelLayout layout,
                                const ModuleOptions& options);
  static const ModelClass& Class();

  absl::StatusOr<HeadOutput> Forward(
      const GPT2HeadInputs& inputs,
      const ForwardOptions& options = {}) override;

 protected:
  bool takes_encoder() const override { return false; }
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_GPT2_GPT2_HEADS_H_
