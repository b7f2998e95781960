#include "modeling/bert/bert_sequence_heads.h"

#include <cstdint>
#include <utility>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "modeling/auto_model.h"
#include "modeling/bert/bert_heads_layout.h"
#include "modeling/catch_torch.h"
#include "modeling/losses.h"
#include "modeling/named_inputs.h"

namespace pretrained {
namespace {

// [b, choices, ..] as [b choices, ..]; what has no choices stays as it is.
at::Tensor MergeChoices(const at::Tensor& tensor) {
  return tensor.defined() && tensor.dim() > 2 ? tensor.flatten(0, 1) : tensor;
}

// Choices of sequences as sequences.
absl::StatusOr<BertModelInputs> MergeChoices(const BertHeadInputs& inputs,
                                             int64_t hidden_size) {
  const bool by_ids = inputs.input_ids.defined();
  if (by_ids == inputs.inputs_embeds.defined()) {
    // Says which of both mistakes it is.
    return CheckIdsOrEmbeds(inputs.input_ids, inputs.inputs_embeds,
                            hidden_size);
  }
  if (by_ids && inputs.input_ids.dim() != 3) {
    return BadShape("input_ids", inputs.input_ids,
                    "[batch, choices, tokens] is expected");
  }
  if (!by_ids && inputs.inputs_embeds.dim() != 4) {
    return BadShape("inputs_embeds", inputs.inputs_embeds,
                    absl::StrCat("[batch, choices, tokens, ", hidden_size,
                                 "] is expected"));
  }
  BertModelInputs merged = inputs;
  for (auto [name, tensor] :
       {std::pair("attention_mask", &merged.attention_mask),
        std::pair("token_type_ids", &merged.token_type_ids),
        std::pair("position_ids", &merged.position_ids)}) {
    if (tensor->defined() && tensor->dim() != 3 && tensor->dim() != 2) {
      return BadShape(name, *tensor, "[batch, choices, tokens] is expected");
    }
    *tensor = MergeChoices(*tensor);
  }
  merged.input_ids = MergeChoices(merged.input_ids);
  merged.inputs_embeds = MergeChoices(merged.inputs_embeds);
  return merged;
}

}  // namespace

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
    : BertHeadModel(std::move(config), bert, std::move(layout), options) {
  const ModuleNode& root = this->layout().tree.root;
  dropout_ = AddChild<Dropout>(root, "dropout", options,
                               bert.classifier_dropout_prob());
  classifier_ = AddChild<Linear>(root, "classifier", options);
}

absl::StatusOr<HeadOutput> BertForSequenceClassification::Forward(
    const BertHeadInputs& inputs, const ForwardOptions& options) {
  return CatchTorch(class_name(), [&]() -> absl::StatusOr<HeadOutput> {
    absl::StatusOr<BertModelOutput> base =
        Encode(BertInputSet::kEncoder, inputs, options);
    if (!base.ok()) return base.status();
    const at::Tensor logits = (*classifier_)((*dropout_)(base->pooler_output));
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

absl::StatusOr<ModelOutput> BertForSequenceClassification::Call(
    const NamedTensors& inputs, const ForwardOptions& options) {
  return CallBertHead(*this, BertInputSet::kEncoder, inputs, options);
}

BertForMultipleChoice::BertForMultipleChoice(PretrainedConfig config,
                                             const BertConfig& bert,
                                             ModelLayout layout,
                                             const ModuleOptions& options)
    : BertHeadModel(std::move(config), bert, std::move(layout), options) {
  const ModuleNode& root = this->layout().tree.root;
  dropout_ = AddChild<Dropout>(root, "dropout", options,
                               bert.classifier_dropout_prob());
  classifier_ = AddChild<Linear>(root, "classifier", options);
}

absl::StatusOr<HeadOutput> BertForMultipleChoice::Forward(
    const BertHeadInputs& inputs, const ForwardOptions& options) {
  return CatchTorch(class_name(), [&]() -> absl::StatusOr<HeadOutput> {
    absl::StatusOr<BertModelInputs> merged =
        MergeChoices(inputs, bert_config().hidden_size);
    if (!merged.ok()) return merged.status();
    const at::Tensor& main =
        inputs.input_ids.defined() ? inputs.input_ids : inputs.inputs_embeds;
    absl::Status status = CheckShape("labels", inputs.labels, {main.size(0)});
    if (!status.ok()) return status;
    absl::StatusOr<BertModelOutput> base =
        Encode(BertInputSet::kEncoder, *merged, options);
    if (!base.ok()) return base.status();
    const at::Tensor logits = (*classifier_)((*dropout_)(base->pooler_output))
                                  .view({main.size(0), main.size(1)});
    HeadOutput output = MakeHeadOutput(logits, *std::move(base));
    if (!inputs.labels.defined()) return output;
    absl::StatusOr<at::Tensor> loss = TokenLoss(output.logits, inputs.labels);
    if (!loss.ok()) return loss.status();
    output.loss = *std::move(loss);
    return output;
  });
}

absl::StatusOr<ModelOutput> BertForMultipleChoice::Call(
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
