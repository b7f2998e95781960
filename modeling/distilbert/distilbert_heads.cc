#include "modeling/distilbert/distilbert_heads.h"

#include <memory>
#include <utility>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "device_map/module_tree.h"
#include "modeling/auto_model.h"
#include "modeling/catch_torch.h"
#include "modeling/choices.h"
#include "modeling/distilbert/distilbert_layout.h"
#include "modeling/losses.h"
#include "modeling/named_inputs.h"

namespace pretrained {

// What a sequence's first token says of it: a projection, ReLU, dropout, and a
// matrix, all of which the model registers itself.
class DistilBertClassifier {
 public:
  DistilBertClassifier(std::shared_ptr<Linear> pre_classifier,
                       std::shared_ptr<Linear> classifier,
                       std::shared_ptr<Dropout> dropout)
      : pre_classifier_(std::move(pre_classifier)),
        classifier_(std::move(classifier)),
        dropout_(std::move(dropout)) {}

  // [b, s, dim] to [b, labels].
  at::Tensor operator()(const at::Tensor& states) const {
    const at::Tensor first = (*pre_classifier_)(states.select(1, 0));
    return (*classifier_)((*dropout_)(at::relu(first)));
  }

 private:
  std::shared_ptr<Linear> pre_classifier_;
  std::shared_ptr<Linear> classifier_;
  std::shared_ptr<Dropout> dropout_;
};

namespace {

// Model::Call() for the classes that take labels.
template <typename Model>
absl::StatusOr<ModelOutput> CallWithLabels(Model& model,
                                           const NamedTensors& inputs,
                                           const ForwardOptions& options) {
  DistilBertHeadInputs arguments;
  NamedInputs named(model.class_name(), inputs);
  TakeDistilBertInputs(named, arguments);
  named.Take("labels", arguments.labels);
  absl::Status status = named.Finish();
  if (!status.ok()) return status;
  absl::StatusOr<HeadOutput> output = model.Forward(arguments, options);
  if (!output.ok()) return output.status();
  return output->ToNamed();
}

HeadOutput MakeHeadOutput(at::Tensor logits, BaseModelOutput base) {
  return {.logits = std::move(logits),
          .hidden_states = std::move(base.hidden_states),
          .attentions = std::move(base.attentions)};
}

// `output` with the loss, unless that is an error.
absl::StatusOr<HeadOutput> WithLoss(HeadOutput output,
                                    absl::StatusOr<at::Tensor> loss) {
  if (!loss.ok()) return loss.status();
  output.loss = *std::move(loss);
  return output;
}

}  // namespace

DistilBertHeadModel::DistilBertHeadModel(PretrainedConfig config,
                                         const DistilBertConfig& distil,
                                         ModelLayout layout,
                                         const ModuleOptions& options)
    : PretrainedModel(std::move(config), std::move(layout), options) {
  distilbert_ = register_module(
      "distilbert", std::make_shared<DistilBertModel>(
                        this->config(), distil,
                        SubmodelLayout(this->layout(), "distilbert"), options));
}

void DistilBertHeadModel::InitializeTensor(
    const TensorToInitialize& target) const {
  distilbert_->InitializeTensor(target);
}

DistilBertForMaskedLM::DistilBertForMaskedLM(PretrainedConfig config,
                                             const DistilBertConfig& distil,
                                             ModelLayout layout,
                                             const ModuleOptions& options)
    : DistilBertHeadModel(std::move(config), distil, std::move(layout),
                          options) {
  const ModuleNode& root = this->layout().tree.root;
  activation_ =
      AddChild<Activation>(root, "activation", options, distil.activation);
  vocab_transform_ = AddChild<Linear>(root, "vocab_transform", options);
  vocab_layer_norm_ =
      AddChild<LayerNorm>(root, "vocab_layer_norm", options, 1e-12);
  vocab_projector_ = AddChild<Linear>(root, "vocab_projector", options);
  AddChild<Container>(root, "mlm_loss_fct", options);
}

absl::StatusOr<HeadOutput> DistilBertForMaskedLM::Forward(
    const DistilBertHeadInputs& inputs, const ForwardOptions& options) {
  return CatchTorch(class_name(), [&]() -> absl::StatusOr<HeadOutput> {
    absl::StatusOr<BaseModelOutput> base =
        distilbert().Forward(inputs, options);
    if (!base.ok()) return base.status();
    const at::Tensor logits = (*vocab_projector_)((*vocab_layer_norm_)(
        (*activation_)((*vocab_transform_)(base->last_hidden_state))));
    HeadOutput output = MakeHeadOutput(logits, *std::move(base));
    if (!inputs.labels.defined()) return output;
    return WithLoss(std::move(output), TokenLoss(output.logits, inputs.labels));
  });
}

absl::StatusOr<ModelOutput> DistilBertForMaskedLM::Call(
    const NamedTensors& inputs, const ForwardOptions& options) {
  return CallWithLabels(*this, inputs, options);
}

DistilBertForSequenceClassification::DistilBertForSequenceClassification(
    PretrainedConfig config, const DistilBertConfig& distil, ModelLayout layout,
    const ModuleOptions& options)
    : DistilBertHeadModel(std::move(config), distil, std::move(layout),
                          options) {
  const ModuleNode& root = this->layout().tree.root;
  auto pre_classifier = AddChild<Linear>(root, "pre_classifier", options);
  auto classifier = AddChild<Linear>(root, "classifier", options);
  auto dropout =
      AddChild<Dropout>(root, "dropout", options, distil.seq_classif_dropout);
  classifier_ = std::make_shared<DistilBertClassifier>(pre_classifier,
                                                       classifier, dropout);
}

absl::StatusOr<HeadOutput> DistilBertForSequenceClassification::Forward(
    const DistilBertHeadInputs& inputs, const ForwardOptions& options) {
  return CatchTorch(class_name(), [&]() -> absl::StatusOr<HeadOutput> {
    absl::StatusOr<BaseModelOutput> base =
        distilbert().Forward(inputs, options);
    if (!base.ok()) return base.status();
    const at::Tensor logits = (*classifier_)(base->last_hidden_state);
    HeadOutput output = MakeHeadOutput(logits, *std::move(base));
    if (!inputs.labels.defined()) return output;
    return WithLoss(std::move(output),
                    SequenceLoss(output.logits, inputs.labels,
                                 distilbert_config().num_labels,
                                 distilbert_config().problem_type));
  });
}

absl::StatusOr<ModelOutput> DistilBertForSequenceClassification::Call(
    const NamedTensors& inputs, const ForwardOptions& options) {
  return CallWithLabels(*this, inputs, options);
}

DistilBertForMultipleChoice::DistilBertForMultipleChoice(
    PretrainedConfig config, const DistilBertConfig& distil, ModelLayout layout,
    const ModuleOptions& options)
    : DistilBertHeadModel(std::move(config), distil, std::move(layout),
                          options) {
  const ModuleNode& root = this->layout().tree.root;
  auto pre_classifier = AddChild<Linear>(root, "pre_classifier", options);
  auto classifier = AddChild<Linear>(root, "classifier", options);
  auto dropout =
      AddChild<Dropout>(root, "dropout", options, distil.seq_classif_dropout);
  classifier_ = std::make_shared<DistilBertClassifier>(pre_classifier,
                                                       classifier, dropout);
}

absl::StatusOr<HeadOutput> DistilBertForMultipleChoice::Forward(
    const DistilBertHeadInputs& inputs, const ForwardOptions& options) {
  return CatchTorch(class_name(), [&]() -> absl::StatusOr<HeadOutput> {
    DistilBertModelInputs merged = inputs;
    absl::StatusOr<ChoiceSizes> sizes = MergeChoices(
        merged.input_ids, merged.inputs_embeds, distilbert_config().dim,
        {{"attention_mask", &merged.attention_mask}});
    if (!sizes.ok()) return sizes.status();
    absl::Status status = CheckShape("labels", inputs.labels, {sizes->batch});
    if (!status.ok()) return status;
    absl::StatusOr<BaseModelOutput> base =
        distilbert().Forward(merged, options);
    if (!base.ok()) return base.status();
    const at::Tensor logits = (*classifier_)(base->last_hidden_state)
                                  .view({sizes->batch, sizes->choices});
    HeadOutput output = MakeHeadOutput(logits, *std::move(base));
    if (!inputs.labels.defined()) return output;
    return WithLoss(std::move(output), TokenLoss(output.logits, inputs.labels));
  });
}

absl::StatusOr<ModelOutput> DistilBertForMultipleChoice::Call(
    const NamedTensors& inputs, const ForwardOptions& options) {
  return CallWithLabels(*this, inputs, options);
}

DistilBertForTokenClassification::DistilBertForTokenClassification(
    PretrainedConfig config, const DistilBertConfig& distil, ModelLayout layout,
    const ModuleOptions& options)
    : DistilBertHeadModel(std::move(config), distil, std::move(layout),
                          options) {
  const ModuleNode& root = this->layout().tree.root;
  dropout_ = AddChild<Dropout>(root, "dropout", options, distil.dropout);
  classifier_ = AddChild<Linear>(root, "classifier", options);
}

absl::StatusOr<HeadOutput> DistilBertForTokenClassification::Forward(
    const DistilBertHeadInputs& inputs, const ForwardOptions& options) {
  return CatchTorch(class_name(), [&]() -> absl::StatusOr<HeadOutput> {
    absl::StatusOr<BaseModelOutput> base =
        distilbert().Forward(inputs, options);
    if (!base.ok()) return base.status();
    const at::Tensor logits =
        (*classifier_)((*dropout_)(base->last_hidden_state));
    HeadOutput output = MakeHeadOutput(logits, *std::move(base));
    if (!inputs.labels.defined()) return output;
    return WithLoss(std::move(output), TokenLoss(output.logits, inputs.labels));
  });
}

absl::StatusOr<ModelOutput> DistilBertForTokenClassification::Call(
    const NamedTensors& inputs, const ForwardOptions& options) {
  return CallWithLabels(*this, inputs, options);
}

DistilBertForQuestionAnswering::DistilBertForQuestionAnswering(
    PretrainedConfig config, const DistilBertConfig& distil, ModelLayout layout,
    const ModuleOptions& options)
    : DistilBertHeadModel(std::move(config), distil, std::move(layout),
                          options) {
  const ModuleNode& root = this->layout().tree.root;
  qa_outputs_ = AddChild<Linear>(root, "qa_outputs", options);
  dropout_ = AddChild<Dropout>(root, "dropout", options, distil.qa_dropout);
}

absl::StatusOr<QuestionAnsweringOutput> DistilBertForQuestionAnswering::Forward(
    const DistilBertForQuestionAnsweringInputs& inputs,
    const ForwardOptions& options) {
  using Result = absl::StatusOr<QuestionAnsweringOutput>;
  return CatchTorch(class_name(), [&]() -> Result {
    absl::StatusOr<BaseModelOutput> base =
        distilbert().Forward(inputs, options);
    if (!base.ok()) return base.status();
    QuestionAnsweringOutput output =
        AnswerOf((*qa_outputs_)((*dropout_)(base->last_hidden_state)));
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

absl::StatusOr<ModelOutput> DistilBertForQuestionAnswering::Call(
    const NamedTensors& inputs, const ForwardOptions& options) {
  DistilBertForQuestionAnsweringInputs arguments;
  NamedInputs named(class_name(), inputs);
  TakeDistilBertInputs(named, arguments);
  named.Take("start_positions", arguments.start_positions);
  named.Take("end_positions", arguments.end_positions);
  absl::Status status = named.Finish();
  if (!status.ok()) return status;
  absl::StatusOr<QuestionAnsweringOutput> output = Forward(arguments, options);
  if (!output.ok()) return output.status();
  return output->ToNamed();
}

const ModelClass& DistilBertForMaskedLM::Class() {
  static const ModelClass* const model_class =
      new ModelClass(MakeModelClass<DistilBertForMaskedLM, DistilBertConfig>(
          DistilBertForMaskedLMLayoutClass()));
  return *model_class;
}

const ModelClass& DistilBertForSequenceClassification::Class() {
  static const ModelClass* const model_class = new ModelClass(
      MakeModelClass<DistilBertForSequenceClassification, DistilBertConfig>(
          DistilBertForSequenceClassificationLayoutClass()));
  return *model_class;
}

const ModelClass& DistilBertForMultipleChoice::Class() {
  static const ModelClass* const model_class = new ModelClass(
      MakeModelClass<DistilBertForMultipleChoice, DistilBertConfig>(
          DistilBertForMultipleChoiceLayoutClass()));
  return *model_class;
}

const ModelClass& DistilBertForTokenClassification::Class() {
  static const ModelClass* const model_class = new ModelClass(
      MakeModelClass<DistilBertForTokenClassification, DistilBertConfig>(
          DistilBertForTokenClassificationLayoutClass()));
  return *model_class;
}

const ModelClass& DistilBertForQuestionAnswering::Class() {
  static const ModelClass* const model_class = new ModelClass(
      MakeModelClass<DistilBertForQuestionAnswering, DistilBertConfig>(
          DistilBertForQuestionAnsweringLayoutClass()));
  return *model_class;
}

namespace {

bool RegisterAll() {
  RegisterModel(&DistilBertForMaskedLM::Class());
  RegisterModel(&DistilBertForSequenceClassification::Class());
  RegisterModel(&DistilBertForMultipleChoice::Class());
  RegisterModel(&DistilBertForTokenClassification::Class());
  RegisterModel(&DistilBertForQuestionAnswering::Class());
  constexpr absl::string_view kType = "distilbert";
  RegisterForAutoClass(AutoTask::kPreTraining, kType, "DistilBertForMaskedLM");
  RegisterForAutoClass(AutoTask::kMaskedLM, kType, "DistilBertForMaskedLM");
  RegisterForAutoClass(AutoTask::kSequenceClassification, kType,
                       "DistilBertForSequenceClassification");
  RegisterForAutoClass(AutoTask::kMultipleChoice, kType,
                       "DistilBertForMultipleChoice");
  RegisterForAutoClass(AutoTask::kTokenClassification, kType,
                       "DistilBertForTokenClassification");
  return RegisterForAutoClass(AutoTask::kQuestionAnswering, kType,
                              "DistilBertForQuestionAnswering");
}

[[maybe_unused]] const bool kRegistered = RegisterAll();

}  // namespace

}  // namespace pretrained
