#include "modeling/bert/bert_token_heads.h"

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

BertLikeForTokenClassification::BertLikeForTokenClassification(
    PretrainedConfig config, const BertConfig& bert, ModelLayout layout,
    const ModuleOptions& options)
    : BertHeadModel(std::move(config), bert, std::move(layout), options) {
  const ModuleNode& root = this->layout().tree.root;
  dropout_ = AddChild<Dropout>(root, "dropout", options,
                               bert.classifier_dropout_prob());
  classifier_ = AddChild<Linear>(root, "classifier", options);
}

absl::StatusOr<HeadOutput> BertLikeForTokenClassification::Forward(
    const BertHeadInputs& inputs, const ForwardOptions& options) {
  return CatchTorch(class_name(), [&]() -> absl::StatusOr<HeadOutput> {
    absl::StatusOr<BertModelOutput> base =
        Encode(BertInputSet::kEncoder, inputs, options);
    if (!base.ok()) return base.status();
    const at::Tensor logits =
        (*classifier_)((*dropout_)(base->last_hidden_state));
    HeadOutput output = MakeHeadOutput(logits, *std::move(base));
    if (!inputs.labels.defined()) return output;
    absl::StatusOr<at::Tensor> loss = TokenLoss(output.logits, inputs.labels);
    if (!loss.ok()) return loss.status();
    output.loss = *std::move(loss);
    return output;
  });
}

absl::StatusOr<ModelOutput> BertLikeForTokenClassification::Call(
    const NamedTensors& inputs, const ForwardOptions& options) {
  return CallBertHead(*this, BertInputSet::kEncoder, inputs, options);
}

BertLikeForQuestionAnswering::BertLikeForQuestionAnswering(
    PretrainedConfig config, const BertConfig& bert, ModelLayout layout,
    const ModuleOptions& options)
    : BertHeadModel(std::move(config), bert, std::move(layout), options) {
  qa_outputs_ =
      AddChild<Linear>(this->layout().tree.root, "qa_outputs", options);
}

absl::StatusOr<QuestionAnsweringOutput> BertLikeForQuestionAnswering::Forward(
    const BertForQuestionAnsweringInputs& inputs,
    const ForwardOptions& options) {
  using Result = absl::StatusOr<QuestionAnsweringOutput>;
  return CatchTorch(class_name(), [&]() -> Result {
    if (bert_config().num_labels != 2) {
      return absl::InvalidArgumentError(absl::StrCat(
          config().file_name(), ": num_labels, the entries of id2label, is ",
          bert_config().num_labels,
          ", but 2 is expected: one for where an answer starts, one for where "
          "it ends"));
    }
    absl::StatusOr<BertModelOutput> base =
        Encode(BertInputSet::kEncoder, inputs, options);
    if (!base.ok()) return base.status();
    QuestionAnsweringOutput output =
        AnswerOf((*qa_outputs_)(base->last_hidden_state));
    output.hidden_states = std::move(base->hidden_states);
    output.attentions = std::move(base->attentions);
    if (!inputs.start_positions.defined() || !inputs.end_positions.defined()) {
      return output;
    }
    absl::StatusOr<at::Tensor> loss =
        SpanLoss(output.start_logits, output.end_logits, inputs.start_positions,
                 inputs.end_positions);
    if (!loss.ok()) return loss.status();
    output.loss = *std::move(loss);
    return output;
  });
}

absl::StatusOr<ModelOutput> BertLikeForQuestionAnswering::Call(
    const NamedTensors& inputs, const ForwardOptions& options) {
  BertForQuestionAnsweringInputs arguments;
  NamedInputs named(class_name(), inputs);
  TakeBertInputs(BertInputSet::kEncoder, named, arguments);
  named.Take("start_positions", arguments.start_positions);
  named.Take("end_positions", arguments.end_positions);
  absl::Status status = named.Finish();
  if (!status.ok()) return status;
  absl::StatusOr<QuestionAnsweringOutput> output = Forward(arguments, options);
  if (!output.ok()) return output.status();
  return output->ToNamed();
}

const ModelClass& BertForTokenClassification::Class() {
  static const ModelClass* const model_class =
      new ModelClass(MakeModelClass<BertForTokenClassification, BertConfig>(
          BertForTokenClassificationLayoutClass()));
  return *model_class;
}

const ModelClass& BertForQuestionAnswering::Class() {
  static const ModelClass* const model_class =
      new ModelClass(MakeModelClass<BertForQuestionAnswering, BertConfig>(
          BertForQuestionAnsweringLayoutClass()));
  return *model_class;
}

namespace {

const bool kRegistered =
    RegisterModel(&BertForTokenClassification::Class()) &&
    RegisterModel(&BertForQuestionAnswering::Class()) &&
    RegisterForAutoClass(AutoTask::kTokenClassification, "bert",
                         "BertForTokenClassification") &&
    RegisterForAutoClass(AutoTask::kQuestionAnswering, "bert",
                         "BertForQuestionAnswering");

}  // namespace

}  // namespace pretrained
