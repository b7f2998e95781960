#include "modeling/bert/bert_sequence_heads.h"

#include <utility>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modeling/auto_model.h"
#include "modeling/bert/bert_heads_layout.h"
#include "modeling/catch_torch.h"
#include "modeling/choices.h"
#include "modeling/losses.h"
#include "modeling/named_inputs.h"

namespace pretrained {
BertForNextSentencePrediction::BertForNextSentencePrediction(
    PretrainedConfig config, const BertConfig& bert, ModelLayout layout,
    const ModuleOptions& options)
    : BertHeadModel(std::move(config), bert, std::move(layout), options) {
  const ModuleNode& root = this->layout().tree.root;
  auto cls = AddChild<Container>(root, "cls", options);
  seq_relationship_ =
      cls->Add<Linear>(root.child("cls"), "seq_relationship", options);
}

absl::StatusOr<HeadOutput> BertForNextSentencePrediction::Forward(
    const BertHeadInputs& inputs, const ForwardOptions& options) {
  return CatchTorch(class_name(), [&]() -> absl::StatusOr<HeadOutput> {
    absl::StatusOr<BertModelOutput> base =
        Encode(BertInputSet::kEncoder, inputs, options);
    if (!base.ok()) return base.status();
    const at::Tensor logits = (*seq_relationship_)(base->pooler_output);
    HeadOutput output = MakeHeadOutput(logits, *std::move(base));
    if (!inputs.labels.defined()) return output;
    absl::StatusOr<at::Tensor> loss = TokenLoss(output.logits, inputs.labels);
    if (!loss.ok()) return loss.status();
    output.loss = *std::move(loss);
    return output;
  });
}

absl::StatusOr<ModelOutput> BertForNextSentencePrediction::Call(
    const NamedTensors& inputs, const ForwardOptions& options) {
  BertHeadInputs arguments;
  NamedInputs named(class_name(), inputs);
  TakeBertInputs(BertInputSet::kEncoder, named, arguments);
  named.Take("labels", arguments.labels);
  // Where both are given the peer takes this one.
  named.Take("next_sentence_label", arguments.labels);
  absl::Status status = named.Finish();
  if (!status.ok()) return status;
  absl::StatusOr<HeadOutput> output = Forward(arguments, options);
  if (!output.ok()) return output.status();
  return output->ToNamed();
}

BertForSequenceClassification::BertForSequenceClassification(
    PretrainedConfig config, const BertConfig& bert, ModelLayout layout,
    const ModuleOptions& options)
    : BertLikeForSequenceClassification(std::move(config), bert,
                                        std::move(layout), options) {
  const ModuleNode& root = this->layout().tree.root;
  dropout_ = AddChild<Dropout>(root, "dropout", options,
                               bert.classifier_dropout_prob());
  classifier_ = AddChild<Linear>(root, "classifier", options);
}

at::Tensor BertForSequenceClassification::Logits(const BertModelOutput& base) {
  return (*classifier_)((*dropout_)(base.pooler_output));
}

absl::StatusOr<HeadOutput> BertLikeForSequenceClassification::Forward(
    const BertHeadInputs& inputs, const ForwardOptions& options) {
  return CatchTorch(class_name(), [&]() -> absl::StatusOr<HeadOutput> {
    absl::StatusOr<BertModelOutput> base =
        Encode(BertInputSet::kEncoder, inputs, options);
    if (!base.ok()) return base.status();
    const at::Tensor logits = Logits(*base);
    HeadOutput output = MakeHeadOutput(logits, *std::move(base));
    if (!inputs.labels.defined()) return output;
    absl::StatusOr<at::Tensor> loss =
        SequenceLoss(output.logits, inputs.labels, bert_config().num_labels,
                     bert_config().problem_type);
    if (!loss.ok()) return loss.status();
    output.loss = *std::move(loss);
    return output;
  });
}

absl::StatusOr<ModelOutput> BertLikeForSequenceClassification::Call(
    const NamedTensors& inputs, const ForwardOptions& options) {
  return CallBertHead(*this, BertInputSet::kEncoder, inputs, options);
}

BertLikeForMultipleChoice::BertLikeForMultipleChoice(
    PretrainedConfig config, const BertConfig& bert, ModelLayout layout,
    const ModuleOptions& options, double dropout_probability)
    : BertHeadModel(std::move(config), bert, std::move(layout), options) {
  const ModuleNode& root = this->layout().tree.root;
  dropout_ = AddChild<Dropout>(root, "dropout", options, dropout_probability);
  classifier_ = AddChild<Linear>(root, "classifier", options);
}

absl::StatusOr<HeadOutput> BertLikeForMultipleChoice::Forward(
    const BertHeadInputs& inputs, const ForwardOptions& options) {
  return CatchTorch(class_name(), [&]() -> absl::StatusOr<HeadOutput> {
    BertModelInputs merged = inputs;
    absl::StatusOr<ChoiceSizes> sizes = MergeChoices(
        merged.input_ids, merged.inputs_embeds, bert_config().hidden_size,
        {{"attention_mask", &merged.attention_mask},
         {"token_type_ids", &merged.token_type_ids},
         {"position_ids", &merged.position_ids}});
    if (!sizes.ok()) return sizes.status();
    absl::Status status = CheckShape("labels", inputs.labels, {sizes->batch});
    if (!status.ok()) return status;
    absl::StatusOr<BertModelOutput> base =
        Encode(BertInputSet::kEncoder, merged, options);
    if (!base.ok()) return base.status();
    const at::Tensor logits = (*classifier_)((*dropout_)(base->pooler_output))
                                  .view({sizes->batch, sizes->choices});
    HeadOutput output = MakeHeadOutput(logits, *std::move(base));
    if (!inputs.labels.defined()) return output;
    absl::StatusOr<at::Tensor> loss = TokenLoss(output.logits, inputs.labels);
    if (!loss.ok()) return loss.status();
    output.loss = *std::move(loss);
    return output;
  });
}

absl::StatusOr<ModelOutput> BertLikeForMultipleChoice::Call(
    const NamedTensors& inputs, const ForwardOptions& options) {
  return CallBertHead(*this, BertInputSet::kEncoder, inputs, options);
}

const ModelClass& BertForNextSentencePrediction::Class() {
  static const ModelClass* const model_class =
      new ModelClass(MakeModelClass<BertForNextSentencePrediction, BertConfig>(
          BertForNextSentencePredictionLayoutClass()));
  return *model_class;
}

const ModelClass& BertForSequenceClassification::Class() {
  static const ModelClass* const model_class =
      new ModelClass(MakeModelClass<BertForSequenceClassification, BertConfig>(
          BertForSequenceClassificationLayoutClass()));
  return *model_class;
}

const ModelClass& BertForMultipleChoice::Class() {
  static const ModelClass* const model_class =
      new ModelClass(MakeModelClass<BertForMultipleChoice, BertConfig>(
          BertForMultipleChoiceLayoutClass()));
  return *model_class;
}

namespace {

const bool kRegistered =
    RegisterModel(&BertForNextSentencePrediction::Class()) &&
    RegisterModel(&BertForSequenceClassification::Class()) &&
    RegisterModel(&BertForMultipleChoice::Class()) &&
    RegisterForAutoClass(AutoTask::kNextSentencePrediction, "bert",
                         "BertForNextSentencePrediction") &&
    RegisterForAutoClass(AutoTask::kSequenceClassification, "bert",
                         "BertForSequenceClassification") &&
    RegisterForAutoClass(AutoTask::kMultipleChoice, "bert",
                         "BertForMultipleChoice");

}  // namespace

}  // namespace pretrained
