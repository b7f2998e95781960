#include "modeling/bloom/bloom_heads.h"

#include <memory>
#include <utility>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "modeling/auto_model.h"
#include "modeling/bloom/bloom_layout.h"
#include "modeling/catch_torch.h"
#include "modeling/last_token.h"
#include "modeling/losses.h"
#include "modeling/named_inputs.h"

namespace pretrained {
namespace {

// Model::Call() for the classes that take labels.
template <typename Model>
absl::StatusOr<ModelOutput> CallWithLabels(Model& model, BloomInputSet set,
                                           const NamedTensors& inputs,
                                           const ForwardOptions& options) {
  BloomHeadInputs arguments;
  NamedInputs named(model.class_name(), inputs);
  TakeBloomInputs(set, named, arguments);
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

BloomWithHead::BloomWithHead(PretrainedConfig config, const BloomConfig& bloom,
                             ModelLayout layout, const ModuleOptions& options,
                             absl::string_view head_name)
    : PretrainedModel(std::move(config), std::move(layout), options) {
  const ModuleNode& root = this->layout().tree.root;
  transformer_ = register_module(
      "transformer",
      std::make_shared<BloomModel>(
          this->config(), bloom, SubmodelLayout(this->layout(), "transformer"),
          options));
  if (root.find_child("dropout") != nullptr) {
    dropout_ =
        AddChild<Dropout>(root, "dropout", options, bloom.classifier_dropout);
  }
  head_ = AddChild<Linear>(root, head_name, options);
}

absl::StatusOr<HeadOutput> BloomWithHead::TokenLogits(
    const BloomModelInputs& inputs, const ForwardOptions& options) {
  absl::StatusOr<BaseModelOutput> base = transformer_->Forward(inputs, options);
  if (!base.ok()) return base.status();
  at::Tensor states = StatesForLogits(base->last_hidden_state, options);
  if (dropout_ != nullptr) states = (*dropout_)(states);
  return HeadOutput{.logits = (*head_)(states),
                    .past_key_values = std::move(base->past_key_values),
                    .hidden_states = std::move(base->hidden_states),
                    .attentions = std::move(base->attentions)};
}

void BloomWithHead::InitializeTensor(const TensorToInitialize& target) const {
  transformer_->InitializeTensor(target);
}

BloomForCausalLM::BloomForCausalLM(PretrainedConfig config,
                                   const BloomConfig& bloom, ModelLayout layout,
                                   const ModuleOptions& options)
    : BloomWithHead(std::move(config), bloom, std::move(layout), options,
                    "lm_head") {}

absl::StatusOr<HeadOutput> BloomForCausalLM::Forward(
    const BloomHeadInputs& inputs, const ForwardOptions& options) {
  return CatchTorch(class_name(), [&]() -> absl::StatusOr<HeadOutput> {
    absl::StatusOr<HeadOutput> output = TokenLogits(inputs, options);
    if (!output.ok() || !inputs.labels.defined()) return output;
    return WithLoss(*output, NextTokenLoss(output->logits, inputs.labels));
  });
}

absl::StatusOr<ModelOutput> BloomForCausalLM::Call(
    const NamedTensors& inputs, const ForwardOptions& options) {
  return CallWithLabels(*this, {}, inputs, options);
}

BloomForSequenceClassification::BloomForSequenceClassification(
    PretrainedConfig config, const BloomConfig& bloom, ModelLayout layout,
    const ModuleOptions& options)
    : BloomWithHead(std::move(config), bloom, std::move(layout), options,
                    "score") {}

absl::StatusOr<HeadOutput> BloomForSequenceClassification::Forward(
    const BloomHeadInputs& inputs, const ForwardOptions& options) {
  return CatchTorch(class_name(), [&]() -> absl::StatusOr<HeadOutput> {
    absl::StatusOr<HeadOutput> output = TokenLogits(inputs, options);
    if (!output.ok()) return output;
    absl::StatusOr<at::Tensor> pooled =
        LastTokenLogits(output->logits, inputs.input_ids, bloom().pad_token_id,
                        LastTokenRule::kByCount);
    if (!pooled.ok()) return pooled.status();
    output->logits = *std::move(pooled);
    if (!inputs.labels.defined()) return output;
    return WithLoss(
        *output, SequenceLoss(output->logits, inputs.labels, bloom().num_labels,
                              bloom().problem_type));
  });
}

absl::StatusOr<ModelOutput> BloomForSequenceClassification::Call(
    const NamedTensors& inputs, const ForwardOptions& options) {
  return CallWithLabels(*this, {}, inputs, options);
}

BloomForTokenClassification::BloomForTokenClassification(
    PretrainedConfig config, const BloomConfig& bloom, ModelLayout layout,
    const ModuleOptions& options)
    : BloomWithHead(std::move(config), bloom, std::move(layout), options,
                    "classifier") {}

absl::StatusOr<HeadOutput> BloomForTokenClassification::Forward(
    const BloomHeadInputs& inputs, const ForwardOptions& options) {
  return CatchTorch(class_name(), [&]() -> absl::StatusOr<HeadOutput> {
    absl::StatusOr<HeadOutput> output = TokenLogits(inputs, options);
    if (!output.ok()) return output;
    // The peer's TokenClassifierOutput has no such field.
    output->past_key_values.clear();
    if (!inputs.labels.defined()) return output;
    return WithLoss(*output, TokenLoss(output->logits, inputs.labels));
  });
}

absl::StatusOr<ModelOutput> BloomForTokenClassification::Call(
    const NamedTensors& inputs, const ForwardOptions& options) {
  return CallWithLabels(*this, {}, inputs, options);
}

BloomForQuestionAnswering::BloomForQuestionAnswering(
    PretrainedConfig config, const BloomConfig& bloom, ModelLayout layout,
    const ModuleOptions& options)
    : BloomWithHead(std::move(config), bloom, std::move(layout), options,
                    "qa_outputs") {}

absl::StatusOr<QuestionAnsweringOutput> BloomForQuestionAnswering::Forward(
    const BloomForQuestionAnsweringInputs& inputs,
    const ForwardOptions& options) {
  using Result = absl::StatusOr<QuestionAnsweringOutput>;
  return CatchTorch(class_name(), [&]() -> Result {
    BloomModelInputs below = inputs;
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

absl::StatusOr<ModelOutput> BloomForQuestionAnswering::Call(
    const NamedTensors& inputs, const ForwardOptions& options) {
  BloomForQuestionAnsweringInputs arguments;
  NamedInputs named(class_name(), inputs);
  TakeBloomInputs({.has_cache = false}, named, arguments);
  named.Take("start_positions", arguments.start_positions);
  named.Take("end_positions", arguments.end_positions);
  absl::Status status = named.Finish();
  if (!status.ok()) return status;
  absl::StatusOr<QuestionAnsweringOutput> output = Forward(arguments, options);
  if (!output.ok()) return output.status();
  return output->ToNamed();
}

const ModelClass& BloomForCausalLM::Class() {
  static const ModelClass* const model_class =
      new ModelClass(MakeModelClass<BloomForCausalLM, BloomConfig>(
          BloomForCausalLMLayoutClass()));
  return *model_class;
}

const ModelClass& BloomForSequenceClassification::Class() {
  static const ModelClass* const model_class = new ModelClass(
      MakeModelClass<BloomForSequenceClassification, BloomConfig>(
          BloomForSequenceClassificationLayoutClass()));
  return *model_class;
}

const ModelClass& BloomForTokenClassification::Class() {
  static const ModelClass* const model_class =
      new ModelClass(MakeModelClass<BloomForTokenClassification, BloomConfig>(
          BloomForTokenClassificationLayoutClass()));
  return *model_class;
}

const ModelClass& BloomForQuestionAnswering::Class() {
  static const ModelClass* const model_class =
      new ModelClass(MakeModelClass<BloomForQuestionAnswering, BloomConfig>(
          BloomForQuestionAnsweringLayoutClass()));
  return *model_class;
}

namespace {

bool RegisterAll() {
  RegisterModel(&BloomForCausalLM::Class());
  RegisterModel(&BloomForSequenceClassification::Class());
  RegisterModel(&BloomForTokenClassification::Class());
  RegisterModel(&BloomForQuestionAnswering::Class());
  constexpr char kType[] = "bloom";
  RegisterForAutoClass(AutoTask::kCausalLM, kType, "BloomForCausalLM");
  RegisterForAutoClass(AutoTask::kSequenceClassification, kType,
                       "BloomForSequenceClassification");
  RegisterForAutoClass(AutoTask::kTokenClassification, kType,
                       "BloomForTokenClassification");
  return RegisterForAutoClass(AutoTask::kQuestionAnswering, kType,
                              "BloomForQuestionAnswering");
}

[[maybe_unused]] const bool kRegistered = RegisterAll();

}  // namespace

}  // namespace pretrained
