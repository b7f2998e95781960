#include "modeling/gpt_neox/gpt_neox_heads.h"

#include <memory>
#include <utility>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "modeling/auto_model.h"
#include "modeling/catch_torch.h"
#include "modeling/gpt_neox/gpt_neox_layout.h"
#include "modeling/last_token.h"
#include "modeling/losses.h"
#include "modeling/named_inputs.h"

namespace pretrained {
namespace {

// Model::Call() for the classes that take labels.
template <typename Model>
absl::StatusOr<ModelOutput> CallWithLabels(Model& model, GPTNeoXInputSet set,
                                           const NamedTensors& inputs,
                                           const ForwardOptions& options) {
  GPTNeoXHeadInputs arguments;
  NamedInputs named(model.class_name(), inputs);
  TakeGPTNeoXInputs(set, named, arguments);
  named.Take("labels", arguments.labels);
  absl::Status status = named.Finish();
  if (!status.ok()) return status;
  absl::StatusOr<HeadOutput> output = model.Forward(arguments, options);
  if (!output.ok()) return output.status();
  return output->ToNamed();
}

// `output` with the loss, unless that is an error.
absl::StatusOr<HeadOutput> WithLoss(HeadOutput output,
                                    absl::StatusOr<at::Tensor> loss) {
  if (!loss.ok()) return loss.status();
  output.loss = *std::move(loss);
  return output;
}

}  // namespace

GPTNeoXWithHead::GPTNeoXWithHead(PretrainedConfig config,
                                 const GPTNeoXConfig& neox, ModelLayout layout,
                                 const ModuleOptions& options,
                                 absl::string_view head_name)
    : PretrainedModel(std::move(config), std::move(layout), options) {
  const ModuleNode& root = this->layout().tree.root;
  gpt_neox_ = register_module(
      "gpt_neox", std::make_shared<GPTNeoXModel>(
                      this->config(), neox,
                      SubmodelLayout(this->layout(), "gpt_neox"), options));
  if (root.find_child("dropout") != nullptr) {
    dropout_ =
        AddChild<Dropout>(root, "dropout", options, neox.classifier_dropout);
  }
  head_ = AddChild<Linear>(root, head_name, options);
}

absl::StatusOr<HeadOutput> GPTNeoXWithHead::TokenLogits(
    const GPTNeoXModelInputs& inputs, const ForwardOptions& options) {
  absl::StatusOr<BaseModelOutput> base = gpt_neox_->Forward(inputs, options);
  if (!base.ok()) return base.status();
  at::Tensor states = StatesForLogits(base->last_hidden_state, options);
  if (dropout_ != nullptr) states = (*dropout_)(states);
  return HeadOutput{.logits = (*head_)(states),
                    .past_key_values = std::move(base->past_key_values),
                    .hidden_states = std::move(base->hidden_states),
                    .attentions = std::move(base->attentions)};
}

void GPTNeoXWithHead::InitializeTensor(const TensorToInitialize& target) const {
  gpt_neox_->InitializeTensor(target);
}

GPTNeoXForCausalLM::GPTNeoXForCausalLM(PretrainedConfig config,
                                       const GPTNeoXConfig& neox,
                                       ModelLayout layout,
                                       const ModuleOptions& options)
    : GPTNeoXWithHead(std::move(config), neox, std::move(layout), options,
                      "embed_out") {}

absl::StatusOr<HeadOutput> GPTNeoXForCausalLM::Forward(
    const GPTNeoXHeadInputs& inputs, const ForwardOptions& options) {
  return CatchTorch(class_name(), [&]() -> absl::StatusOr<HeadOutput> {
    absl::StatusOr<HeadOutput> output = TokenLogits(inputs, options);
    if (!output.ok() || !inputs.labels.defined()) return output;
    return WithLoss(*output, NextTokenLoss(output->logits, inputs.labels));
  });
}

absl::StatusOr<ModelOutput> GPTNeoXForCausalLM::Call(
    const NamedTensors& inputs, const ForwardOptions& options) {
  return CallWithLabels(*this, {}, inputs, options);
}

GPTNeoXForSequenceClassification::GPTNeoXForSequenceClassification(
    PretrainedConfig config, const GPTNeoXConfig& neox, ModelLayout layout,
    const ModuleOptions& options)
    : GPTNeoXWithHead(std::move(config), neox, std::move(layout), options,
                      "score") {}

absl::StatusOr<HeadOutput> GPTNeoXForSequenceClassification::Forward(
    const GPTNeoXHeadInputs& inputs, const ForwardOptions& options) {
  return CatchTorch(class_name(), [&]() -> absl::StatusOr<HeadOutput> {
    absl::StatusOr<HeadOutput> output = TokenLogits(inputs, options);
    if (!output.ok()) return output;
    absl::StatusOr<at::Tensor> pooled =
        LastTokenLogits(output->logits, inputs.input_ids, neox().pad_token_id);
    if (!pooled.ok()) return pooled.status();
    output->logits = *std::move(pooled);
    if (!inputs.labels.defined()) return output;
    return WithLoss(
        *output, SequenceLoss(output->logits, inputs.labels, neox().num_labels,
                              neox().problem_type));
  });
}

absl::StatusOr<ModelOutput> GPTNeoXForSequenceClassification::Call(
    const NamedTensors& inputs, const ForwardOptions& options) {
  return CallWithLabels(*this, {}, inputs, options);
}

GPTNeoXForTokenClassification::GPTNeoXForTokenClassification(
    PretrainedConfig config, const GPTNeoXConfig& neox, ModelLayout layout,
    const ModuleOptions& options)
    : GPTNeoXWithHead(std::move(config), neox, std::move(layout), options,
                      "classifier") {}

absl::StatusOr<HeadOutput> GPTNeoXForTokenClassification::Forward(
    const GPTNeoXHeadInputs& inputs, const ForwardOptions& options) {
  return CatchTorch(class_name(), [&]() -> absl::StatusOr<HeadOutput> {
    absl::StatusOr<HeadOutput> output = TokenLogits(inputs, options);
    if (!output.ok()) return output;
    // The peer's TokenClassifierOutput has no such field.
    output->past_key_values.clear();
    if (!inputs.labels.defined()) return output;
    return WithLoss(*output, TokenLoss(output->logits, inputs.labels));
  });
}

absl::StatusOr<ModelOutput> GPTNeoXForTokenClassification::Call(
    const NamedTensors& inputs, const ForwardOptions& options) {
  return CallWithLabels(*this, {.has_token_types = true}, inputs, options);
}

GPTNeoXForQuestionAnswering::GPTNeoXForQuestionAnswering(
    PretrainedConfig config, const GPTNeoXConfig& neox, ModelLayout layout,
    const ModuleOptions& options)
    : GPTNeoXWithHead(std::move(config), neox, std::move(layout), options,
                      "qa_outputs") {}

absl::StatusOr<QuestionAnsweringOutput> GPTNeoXForQuestionAnswering::Forward(
    const GPTNeoXForQuestionAnsweringInputs& inputs,
    const ForwardOptions& options) {
  using Result = absl::StatusOr<QuestionAnsweringOutput>;
  return CatchTorch(class_name(), [&]() -> Result {
    GPTNeoXModelInputs below = inputs;
    below.past_key_values.clear();
    ForwardOptions without_cache = options;
    without_cache.use_cache = false;
    absl::StatusOr<HeadOutput> base = TokenLogits(below, without_cache);
    if (!base.ok()) return base.status();
    QuestionAnsweringOutput output = AnswerOf(base->logits);
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

absl::StatusOr<ModelOutput> GPTNeoXForQuestionAnswering::Call(
    const NamedTensors& inputs, const ForwardOptions& options) {
  GPTNeoXForQuestionAnsweringInputs arguments;
  NamedInputs named(class_name(), inputs);
  TakeGPTNeoXInputs({.has_cache = false, .has_token_types = true}, named,
                    arguments);
  named.Take("start_positions", arguments.start_positions);
  named.Take("end_positions", arguments.end_positions);
  absl::Status status = named.Finish();
  if (!status.ok()) return status;
  absl::StatusOr<QuestionAnsweringOutput> output = Forward(arguments, options);
  if (!output.ok()) return output.status();
  return output->ToNamed();
}

const ModelClass& GPTNeoXForCausalLM::Class() {
  static const ModelClass* const model_class =
      new ModelClass(MakeModelClass<GPTNeoXForCausalLM, GPTNeoXConfig>(
          GPTNeoXForCausalLMLayoutClass()));
  return *model_class;
}

const ModelClass& GPTNeoXForSequenceClassification::Class() {
  static const ModelClass* const model_class = new ModelClass(
      MakeModelClass<GPTNeoXForSequenceClassification, GPTNeoXConfig>(
          GPTNeoXForSequenceClassificationLayoutClass()));
  return *model_class;
}

const ModelClass& GPTNeoXForTokenClassification::Class() {
  static const ModelClass* const model_class = new ModelClass(
      MakeModelClass<GPTNeoXForTokenClassification, GPTNeoXConfig>(
          GPTNeoXForTokenClassificationLayoutClass()));
  return *model_class;
}

const ModelClass& GPTNeoXForQuestionAnswering::Class() {
  static const ModelClass* const model_class =
      new ModelClass(MakeModelClass<GPTNeoXForQuestionAnswering, GPTNeoXConfig>(
          GPTNeoXForQuestionAnsweringLayoutClass()));
  return *model_class;
}

namespace {

bool RegisterAll() {
  RegisterModel(&GPTNeoXForCausalLM::Class());
  RegisterModel(&GPTNeoXForSequenceClassification::Class());
  RegisterModel(&GPTNeoXForTokenClassification::Class());
  RegisterModel(&GPTNeoXForQuestionAnswering::Class());
  constexpr char kType[] = "gpt_neox";
  RegisterForAutoClass(AutoTask::kCausalLM, kType, "GPTNeoXForCausalLM");
  RegisterForAutoClass(AutoTask::kSequenceClassification, kType,
                       "GPTNeoXForSequenceClassification");
  RegisterForAutoClass(AutoTask::kTokenClassification, kType,
                       "GPTNeoXForTokenClassification");
  return RegisterForAutoClass(AutoTask::kQuestionAnswering, kType,
                              "GPTNeoXForQuestionAnswering");
}

[[maybe_unused]] const bool kRegistered = RegisterAll();

}  // namespace

}  // namespace pretrained
