#ifndef PRETRAINED_MODELING_BERT_BERT_LM_HEADS_H_
#define PRETRAINED_MODELING_BERT_BERT_LM_HEADS_H_

#include <memory>
#include <string>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "device_map/module_tree.h"
#include "modeling/bert/bert_config.h"
#include "modeling/bert/bert_head_model.h"
#include "modeling/bert/bert_inputs.h"
#include "modeling/from_pretrained.h"
#include "modeling/generation_step.h"
#include "modeling/layers.h"
#include "modeling/model_output.h"
#include "modeling/module.h"

namespace pretrained {

// BERT's classes that score every token of the vocabulary, and what its kin's
// have in common with them. Shapes: batch b, tokens s. Ignored labels are -100.

// States [b, s, hidden size] to scores [b, s, vocab_size].
class BertLMPredictionHead : public CallableModule<OneTensor, OneTensor> {
 public:
  BertLMPredictionHead(const ModuleNode& node, const ModuleOptions& options,
                       const BertConfig& config);

  at::Tensor operator()(const at::Tensor& x) { return Call({x}).value; }

 protected:
  OneTensor Forward(const OneTensor& input) override;

 private:
  // A projection, the config's activation, and a norm.
  class Transform;

  std::shared_ptr<Transform> transform_;
  std::shared_ptr<Linear> decoder_;
};

// What BertForPreTraining returns; without both kinds of labels no loss.
struct BertForPreTrainingOutput {
  at::Tensor loss;                     // A scalar.
  at::Tensor prediction_logits;        // [b, s, vocab_size]
  at::Tensor seq_relationship_logits;  // [b, 2]: follows, or is a random one.
  std::vector<at::Tensor> hidden_states;
  std::vector<at::Tensor> attentions;

  ModelOutput ToNamed() const;
};

// Both heads that BERT was pretrained with: what the hidden words are, and
// whether the second sentence follows the first. Labels: [b, s] and [b]; the
// loss is the sum of both.
// Matches: transformers 4.34 modeling_bert.py `BertForPreTraining`.
class BertForPreTraining : public BertHeadModel,
                           public Loadable<BertForPreTraining> {
 public:
  BertForPreTraining(PretrainedConfig config, const BertConfig& bert,
                     ModelLayout layout, const ModuleOptions& options);
  static const ModelClass& Class();

  absl::StatusOr<BertForPreTrainingOutput> Forward(
      const BertForPreTrainingInputs& inputs,
      const ForwardOptions& options = {});
  absl::StatusOr<ModelOutput> Call(const NamedTensors& inputs,
                                   const ForwardOptions& options = {}) override;
  std::string OutputEmbeddingsPath() const override {
    return "cls.predictions.decoder";
  }

 private:
  std::shared_ptr<BertLMPredictionHead> predictions_;
  std::shared_ptr<Linear> seq_relationship_;
};

// What predicts each next token, as BertLMHeadModel says. A class derives from
// it, and makes the head.
class BertLikeForCausalLM : public BertHeadModel {
 public:
  absl::StatusOr<HeadOutput> Forward(const BertHeadInputs& inputs,
                                     const ForwardOptions& options = {});
  absl::StatusOr<ModelOutput> Call(const NamedTensors& inputs,
                                   const ForwardOptions& options = {}) override;

 protected:
  BertLikeForCausalLM(PretrainedConfig config, const BertConfig& bert,
                      ModelLayout layout, const ModuleOptions& options);

  // The head: states [b, s, hidden size] to scores [b, s, vocab_size].
  virtual at::Tensor Scores(const at::Tensor& states) = 0;
};

// What predicts hidden words, as BertForMaskedLM says, likewise.
class BertLikeForMaskedLM : public BertHeadModel {
 public:
  absl::StatusOr<HeadOutput> Forward(const BertHeadInputs& inputs,
                                     const ForwardOptions& options = {});
  absl::StatusOr<ModelOutput> Call(const NamedTensors& inputs,
                                   const ForwardOptions& options = {}) override;

 protected:
  BertLikeForMaskedLM(PretrainedConfig config, const BertConfig& bert,
                      ModelLayout layout, const ModuleOptions& options);

  virtual at::Tensor Scores(const at::Tensor& states) = 0;
};

// Predicts each next token, as a decoder (`is_decoder` in the config; without
// it, it warns and looks both ways). Labels [b, s] are the input ids
// themselves, shifted within; with them there is no cache.
//
//   auto output = (*model)->Forward({{.input_ids = ids}, ids});
//   output->loss, output->logits;  // [b, s, vocab_size]
//
// Matches: transformers 4.34 modeling_bert.py `BertLMHeadModel`.
class BertLMHeadModel : public BertLikeForCausalLM,
                        public Loadable<BertLMHeadModel> {
 public:
  BertLMHeadModel(PretrainedConfig config, const BertConfig& bert,
                  ModelLayout layout, const ModuleOptions& options);
  static const ModelClass& Class();

  std::string OutputEmbeddingsPath() const override {
    return "cls.predictions.decoder";
  }

 protected:
  at::Tensor Scores(const at::Tensor& states) override;

 private:
  std::shared_ptr<BertLMPredictionHead> predictions_;
};

// Predicts the words that [MASK] hides. Labels: [b, s].
// Matches: transformers 4.34 modeling_bert.py `BertForMaskedLM`.
class BertForMaskedLM : public BertLikeForMaskedLM,
                        public Loadable<BertForMaskedLM> {
 public:
  BertForMaskedLM(PretrainedConfig config, const BertConfig& bert,
                  ModelLayout layout, const ModuleOptions& options);
  static const ModelClass& Class();

  // Puts a token after the last, hidden by the mask, in whose place the next is
  // predicted.
  absl::StatusOr<NamedTensors> PrepareInputsForGeneration(
      const GenerationStep& step) const override;
  std::string OutputEmbeddingsPath() const override {
    return "cls.predictions.decoder";
  }

 protected:
  at::Tensor Scores(const at::Tensor& states) override;

 private:
  std::shared_ptr<BertLMPredictionHead> predictions_;
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_BERT_BERT_LM_HEADS_H_
