#include "modeling/gpt2/gpt2_heads.h"

#include <memory>
#include <utility>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "modeling/auto_model.h"
#include "modeling/catch_torch.h"
#include "modeling/gpt2/gpt2_layout.h"
#include "modeling/last_token.h"
#include "modeling/losses.h"
#include "modeling/named_inputs.h"

namespace pretrained {

GPT2WithHead::GPT2WithHead(PretrainedConfig config, const GPT2Config& gpt2,
                           ModelLayout layout, const ModuleOptions& options,
                           absl::string_view head_name)
    : PretrainedModel(std::move(config), std::move(layout), options) {
  transformer_ = std::make_shared<GPT2Model>(
      this->config(), gpt2, SubmodelLayout(this->layout(), "transformer"),
      options);
  register_module("transformer", transformer_);
  head_ = AddChild<Linear>(this->layout().tree.root, head_name, options);
}

absl::StatusOr<ModelOutput> GPT2WithHead::Call(const NamedTensors& inputs,
                                               const ForwardOptions& options) {
  GPT2HeadInputs arguments;
  NamedInputs named(class_name(), inputs);
  TakeGPT2Inputs(named, arguments, takes_encoder());
  named.Take("labels", arguments.labels);
  absl::Status status = named.Finish();
  if (!status.ok()) return status;
  absl::StatusOr<HeadOutput> output = Forward(arguments, options);
  if (!output.ok()) return output.status();
  return output->ToNamed();
}

absl::StatusOr<HeadOutput> GPT2WithHead::TokenLogits(
    const GPT2ModelInputs& inputs, const ForwardOptions& options) {
  absl::StatusOr<BaseModelOutput> base = transformer_->Forward(inputs, options);
  if (!base.ok()) return base.status();
  return HeadOutput{
      .logits = (*head_)(StatesForLogits(base->last_hidden_state, options)),
      .past_key_values = std::move(base->past_key_values),
      .hidden_states = std::move(base->hidden_states),
      .attentions = std::move(base->attentions),
      .cross_attentions = std::move(base->cross_attentions)};
}

void GPT2WithHead::InitializeTensor(const TensorToInitialize& target) const {
  InitializeGPT2Tensor(gpt2_config(), target);
}

GPT2LMHeadModel::GPT2LMHeadModel(PretrainedConfig config,
                                 const GPT2Config& gpt2, ModelLayout layout,
                                 const ModuleOptions& options)
    : GPT2WithHead(std::move(config), gpt2, std::move(layout), options,
                   "lm_head") {}

absl::StatusOr<HeadOutput> GPT2LMHeadModel::Forward(
    const GPT2HeadInputs& inputs, const ForwardOptions& options) {
  return CatchTorch(class_name(), [&]() -> absl::StatusOr<HeadOutput> {
    absl::StatusOr<HeadOutput> output = TokenLogits(inputs, options);
    if (!output.ok() || !inputs.labels.defined()) return output;
    absl::StatusOr<at::Tensor> loss =
        NextTokenLoss(output->logits, inputs.labels);
    if (!loss.ok()) return loss.status();
    output->loss = *std::move(loss);
    return output;
  });
}

GPT2ForSequenceClassification::GPT2ForSequenceClassification(
    PretrainedConfig config, const GPT2Config& gpt2, ModelLayout layout,
    const ModuleOptions& options)
    : GPT2WithHead(std::move(config), gpt2, std::move(layout), options,
                   "score") {}

absl::StatusOr<HeadOutput> GPT2ForSequenceClassification::Forward(
    const GPT2HeadInputs& inputs, const ForwardOptions& options) {
  return CatchTorch(class_name(), [&]() -> absl::StatusOr<HeadOutput> {
    absl::StatusOr<HeadOutput> output = TokenLogits(inputs, options);
    if (!output.ok()) return output;
    absl::StatusOr<at::Tensor> pooled = LastTokenLogits(
        output->logits, inputs.input_ids, gpt2_config().pad_token_id);
    if (!pooled.ok()) return pooled.status();
    output->logits = *std::move(pooled);
    // The peer's SequenceClassifierOutputWithPast has no such field.
    output->cross_attentions.clear();
    if (!inputs.labels.defined()) return output;
    absl::StatusOr<at::Tensor> loss =
        SequenceLoss(output->logits, inputs.labels, gpt2_config().num_labels,
                     gpt2_config().problem_type);
    if (!loss.ok()) return loss.status();
    output->loss = *std::move(loss);
    return output;
  });
}

const ModelClass& GPT2LMHeadModel::Class() {
  static const ModelClass* const model_class =
      new ModelClass(MakeModelClass<GPT2LMHeadModel, GPT2Config>(
          GPT2LMHeadModelLayoutClass()));
  return *model_class;
}

const ModelClass& GPT2ForSequenceClassification::Class() {
  static const ModelClass* const model_class =
      new ModelClass(MakeModelClass<GPT2ForSequenceClassification, GPT2Config>(
          GPT2ForSequenceClassificationLayoutClass()));
  return *model_class;
}

namespace {

bool Register() {
  RegisterModel(&GPT2LMHeadModel::Class());
  RegisterModel(&GPT2ForSequenceClassification::Class());
  // The peer's tables of AutoModelForPreTraining and of the causal models both
  // name the language model.
  for (const AutoTask task : {AutoTask::kPreTraining, AutoTask::kCausalLM}) {
    RegisterForAutoClass(task, "gpt2", "GPT2LMHeadModel");
  }
  return RegisterForAutoClass(AutoTask::kSequenceClassification, "gpt2",
                              "GPT2ForSequenceClassification");
}

const bool kRegistered = Register();

}  // namespace

}  // namespace pretrained
