#include "modeling/bert/bert_lm_heads.h"

#include <cstdint>
#include <memory>
#include <utility>

#include "ATen/ATen.h"
#include "absl/log/absl_log.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "device_map/module_tree.h"
#include "modeling/auto_model.h"
#include "modeling/bert/bert_heads_layout.h"
#include "modeling/catch_torch.h"
#include "modeling/last_token.h"
#include "modeling/losses.h"
#include "modeling/named_inputs.h"

namespace pretrained {

class BertLMPredictionHead::Transform
    : public CallableModule<OneTensor, OneTensor> {
 public:
  Transform(const ModuleNode& node, const ModuleOptions& options,
            const BertConfig& config)
      : CallableModule(node, options),
        dense_(AddChild<Linear>(node, "dense", options)),
        activation_(AddChild<Activation>(node, "transform_act_fn", options,
                                         config.hidden_act)),
        norm_(AddChild<LayerNorm>(node, "LayerNorm", options,
                                  config.layer_norm_eps)) {}

 protected:
  OneTensor Forward(const OneTensor& input) override {
    return {(*norm_)((*activation_)((*dense_)(input.value)))};
  }

 private:
  std::shared_ptr<Linear> dense_;
  std::shared_ptr<Activation> activation_;
  std::shared_ptr<LayerNorm> norm_;
};

BertLMPredictionHead::BertLMPredictionHead(const ModuleNode& node,
                                           const ModuleOptions& options,
                                           const BertConfig& config)
    : CallableModule(node, options),
      transform_(AddChild<Transform>(node, "transform", options, config)),
      decoder_(AddChild<Linear>(node, "decoder", options)) {}

OneTensor BertLMPredictionHead::Forward(const OneTensor& input) {
  // The module's own bias is the decoder's.
  return {(*decoder_)(transform_->Call(input).value)};
}

ModelOutput BertForPreTrainingOutput::ToNamed() const {
  ModelOutput named;
  named.Add("loss", loss);
  named.Add("prediction_logits", prediction_logits);
  named.Add("seq_relationship_logits", seq_relationship_logits);
  named.Add("hidden_states", hidden_states);
  named.Add("attentions", attentions);
  return named;
}

BertForPreTraining::BertForPreTraining(PretrainedConfig config,
                                       const BertConfig& bert,
                                       ModelLayout layout,
                                       const ModuleOptions& options)
    : BertHeadModel(std::move(config), bert, std::move(layout), options) {
  const ModuleNode& root = this->layout().tree.root;
  const ModuleNode& node = root.child("cls");
  auto cls = AddChild<Container>(root, "cls", options);
  predictions_ =
      cls->Add<BertLMPredictionHead>(node, "predictions", options, bert);
  seq_relationship_ = cls->Add<Linear>(node, "seq_relationship", options);
}

absl::StatusOr<BertForPreTrainingOutput> BertForPreTraining::Forward(
    const BertForPreTrainingInputs& inputs, const ForwardOptions& options) {
  using Result = absl::StatusOr<BertForPreTrainingOutput>;
  return CatchTorch(class_name(), [&]() -> Result {
    absl::StatusOr<BertModelOutput> base =
        Encode(BertInputSet::kEncoder, inputs, options);
    if (!base.ok()) return base.status();
    BertForPreTrainingOutput output{
        .prediction_logits = (*predictions_)(base->last_hidden_state),
        .seq_relationship_logits = (*seq_relationship_)(base->pooler_output),
        .hidden_states = std::move(base->hidden_states),
        .attentions = std::move(base->attentions)};
    if (!inputs.labels.defined() || !inputs.next_sentence_label.defined()) {
      return output;
    }
    absl::StatusOr<at::Tensor> words =
        TokenLoss(output.prediction_logits, inputs.labels);
    if (!words.ok()) return words.status();
    absl::StatusOr<at::Tensor> sentences =
        TokenLoss(output.seq_relationship_logits, inputs.next_sentence_label,
                  "next_sentence_label");
    if (!sentences.ok()) return sentences.status();
    output.loss = words->add(*sentences);
    return output;
  });
}

absl::StatusOr<ModelOutput> BertForPreTraining::Call(
    const NamedTensors& inputs, const ForwardOptions& options) {
  BertForPreTrainingInputs arguments;
  NamedInputs named(class_name(), inputs);
  TakeBertInputs(BertInputSet::kEncoder, named, arguments);
  named.Take("labels", arguments.labels);
  named.Take("next_sentence_label", arguments.next_sentence_label);
  absl::Status status = named.Finish();
  if (!status.ok()) return status;
  absl::StatusOr<BertForPreTrainingOutput> output = Forward(arguments, options);
  if (!output.ok()) return output.status();
  return output->ToNamed();
}

BertLikeForCausalLM::BertLikeForCausalLM(PretrainedConfig config,
                                         const BertConfig& bert,
                                         ModelLayout layout,
                                         const ModuleOptions& options)
    : BertHeadModel(std::move(config), bert, std::move(layout), options) {
  if (!bert.is_decoder) {
    ABSL_LOG(WARNING) << class_name()
                      << " predicts next tokens, but its config has no "
                         "is_decoder, so that it sees them; set it to true "
                         "unless the model is part of another one";
  }
}

absl::StatusOr<HeadOutput> BertLikeForCausalLM::Forward(
    const BertHeadInputs& inputs, const ForwardOptions& options) {
  return CatchTorch(class_name(), [&]() -> absl::StatusOr<HeadOutput> {
    ForwardOptions base_options = options;
    if (inputs.labels.defined()) base_options.use_cache = false;
    absl::StatusOr<BertModelOutput> base =
        Encode(BertInputSet::kAll, inputs, base_options);
    if (!base.ok()) return base.status();
    HeadOutput output{
        .logits = Scores(StatesForLogits(base->last_hidden_state, options)),
        .past_key_values = std::move(base->past_key_values),
        .hidden_states = std::move(base->hidden_states),
        .attentions = std::move(base->attentions),
        .cross_attentions = std::move(base->cross_attentions)};
    if (!inputs.labels.defined()) return output;
    absl::StatusOr<at::Tensor> loss =
        NextTokenLoss(output.logits, inputs.labels);
    if (!loss.ok()) return loss.status();
    output.loss = *std::move(loss);
    return output;
  });
}

absl::StatusOr<ModelOutput> BertLikeForCausalLM::Call(
    const NamedTensors& inputs, const ForwardOptions& options) {
  return CallBertHead(*this, BertInputSet::kAll, inputs, options);
}

BertLikeForMaskedLM::BertLikeForMaskedLM(PretrainedConfig config,
                                         const BertConfig& bert,
                                         ModelLayout layout,
                                         const ModuleOptions& options)
    : BertHeadModel(std::move(config), bert, std::move(layout), options) {
  if (bert.is_decoder) {
    ABSL_LOG(WARNING) << class_name()
                      << " predicts hidden words from both sides, but its "
                         "config has is_decoder, so that it sees one; set it "
                         "to false";
  }
}

absl::StatusOr<HeadOutput> BertLikeForMaskedLM::Forward(
    const BertHeadInputs& inputs, const ForwardOptions& options) {
  return CatchTorch(class_name(), [&]() -> absl::StatusOr<HeadOutput> {
    absl::StatusOr<BertModelOutput> base =
        Encode(BertInputSet::kEncoderStates, inputs, options);
    if (!base.ok()) return base.status();
    const at::Tensor logits =
        Scores(StatesForLogits(base->last_hidden_state, options));
    HeadOutput output = MakeHeadOutput(logits, *std::move(base));
    if (!inputs.labels.defined()) return output;
    absl::StatusOr<at::Tensor> loss = TokenLoss(output.logits, inputs.labels);
    if (!loss.ok()) return loss.status();
    output.loss = *std::move(loss);
    return output;
  });
}

absl::StatusOr<ModelOutput> BertLikeForMaskedLM::Call(
    const NamedTensors& inputs, const ForwardOptions& options) {
  return CallBertHead(*this, BertInputSet::kEncoderStates, inputs, options);
}

BertLMHeadModel::BertLMHeadModel(PretrainedConfig config,
                                 const BertConfig& bert, ModelLayout layout,
                                 const ModuleOptions& options)
    : BertLikeForCausalLM(std::move(config), bert, std::move(layout), options) {
  const ModuleNode& root = this->layout().tree.root;
  auto cls = AddChild<Container>(root, "cls", options);
  predictions_ = cls->Add<BertLMPredictionHead>(root.child("cls"),
                                                "predictions", options, bert);
}

at::Tensor BertLMHeadModel::Scores(const at::Tensor& states) {
  return (*predictions_)(states);
}

BertForMaskedLM::BertForMaskedLM(PretrainedConfig config,
                                 const BertConfig& bert, ModelLayout layout,
                                 const ModuleOptions& options)
    : BertLikeForMaskedLM(std::move(config), bert, std::move(layout), options) {
  const ModuleNode& root = this->layout().tree.root;
  auto cls = AddChild<Container>(root, "cls", options);
  predictions_ = cls->Add<BertLMPredictionHead>(root.child("cls"),
                                                "predictions", options, bert);
}

at::Tensor BertForMaskedLM::Scores(const at::Tensor& states) {
  return (*predictions_)(states);
}

absl::StatusOr<NamedTensors> BertForMaskedLM::PrepareInputsForGeneration(
    const GenerationStep& step) const {
  if (!bert_config().pad_token_id.has_value()) {
    return config().BadValue(
        "pad_token_id",
        "an id is expected, which BertForMaskedLM predicts "
        "each next token in the place of");
  }
  absl::StatusOr<NamedTensors> inputs =
      BertLikeForMaskedLM::PrepareInputsForGeneration(step);
  if (!inputs.ok()) return inputs;
  const at::Tensor& ids = step.input_ids;
  const int64_t rows = ids.size(0);
  const at::Tensor mask =
      step.attention_mask.defined() ? step.attention_mask : at::ones_like(ids);
  (*inputs)["input_ids"] = at::cat(
      {ids, at::full({rows, 1}, *bert_config().pad_token_id, ids.options())},
      1);
  (*inputs)["attention_mask"] =
      at::cat({mask, at::zeros({rows, 1}, mask.options())}, 1);
  return inputs;
}

const ModelClass& BertForPreTraining::Class() {
  static const ModelClass* const model_class =
      new ModelClass(MakeModelClass<BertForPreTraining, BertConfig>(
          BertForPreTrainingLayoutClass()));
  return *model_class;
}

const ModelClass& BertLMHeadModel::Class() {
  static const ModelClass* const model_class =
      new ModelClass(MakeModelClass<BertLMHeadModel, BertConfig>(
          BertLMHeadModelLayoutClass()));
  return *model_class;
}

const ModelClass& BertForMaskedLM::Class() {
  static const ModelClass* const model_class =
      new ModelClass(MakeModelClass<BertForMaskedLM, BertConfig>(
          BertForMaskedLMLayoutClass()));
  return *model_class;
}

namespace {

const bool kRegistered =
    RegisterModel(&BertForPreTraining::Class()) &&
    RegisterModel(&BertLMHeadModel::Class()) &&
    RegisterModel(&BertForMaskedLM::Class()) &&
    RegisterForAutoClass(AutoTask::kPreTraining, "bert",
                         "BertForPreTraining") &&
    RegisterForAutoClass(AutoTask::kCausalLM, "bert", "BertLMHeadModel") &&
    RegisterForAutoClass(AutoTask::kMaskedLM, "bert", "BertForMaskedLM");

}  // namespace

}  // namespace pretrained
