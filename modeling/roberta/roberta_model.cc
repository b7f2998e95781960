#include "modeling/roberta/roberta_model.h"

#include <memory>
#include <utility>

#include "ATen/ATen.h"
#include "absl/strings/string_view.h"
#include "device_map/module_tree.h"
#include "modeling/auto_model.h"
#include "modeling/layers.h"
#include "modeling/roberta/roberta_layout.h"

namespace pretrained {

// States [b, s, hidden size] to scores [b, s, vocab_size]; the activation is
// GELU whatever the config says.
class RobertaLMHead : public CallableModule<OneTensor, OneTensor> {
 public:
  RobertaLMHead(const ModuleNode& node, const ModuleOptions& options,
                const BertConfig& config)
      : CallableModule(node, options),
        dense_(AddChild<Linear>(node, "dense", options)),
        norm_(AddChild<LayerNorm>(node, "layer_norm", options,
                                  config.layer_norm_eps)),
        decoder_(AddChild<Linear>(node, "decoder", options)) {}

 protected:
  OneTensor Forward(const OneTensor& input) override {
    // The module's own bias is the decoder's.
    return {(*decoder_)((*norm_)(at::gelu((*dense_)(input.value))))};
  }

 private:
  std::shared_ptr<Linear> dense_;
  std::shared_ptr<LayerNorm> norm_;
  std::shared_ptr<Linear> decoder_;
};

// States [b, s, hidden size], of whose tokens the first tells the class, to
// logits [b, num_labels].
class RobertaClassificationHead : public CallableModule<OneTensor, OneTensor> {
 public:
  RobertaClassificationHead(const ModuleNode& node,
                            const ModuleOptions& options,
                            const BertConfig& config)
      : CallableModule(node, options),
        dense_(AddChild<Linear>(node, "dense", options)),
        dropout_(AddChild<Dropout>(node, "dropout", options,
                                   config.classifier_dropout_prob())),
        out_proj_(AddChild<Linear>(node, "out_proj", options)) {}

 protected:
  OneTensor Forward(const OneTensor& input) override {
    const at::Tensor first = (*dropout_)(input.value.select(1, 0));
    return {(*out_proj_)((*dropout_)(at::tanh((*dense_)(first))))};
  }

 private:
  std::shared_ptr<Linear> dense_;
  std::shared_ptr<Dropout> dropout_;
  std::shared_ptr<Linear> out_proj_;
};

RobertaModel::RobertaModel(PretrainedConfig config,
                           const RobertaConfig& roberta, ModelLayout layout,
                           const ModuleOptions& options)
    : BertLikeModel(std::move(config), roberta.encoder, std::move(layout),
                    options) {}

RobertaForCausalLM::RobertaForCausalLM(PretrainedConfig config,
                                       const RobertaConfig& roberta,
                                       ModelLayout layout,
                                       const ModuleOptions& options)
    : BertLikeForCausalLM(std::move(config), roberta.encoder, std::move(layout),
                          options) {
  lm_head_ = AddChild<RobertaLMHead>(this->layout().tree.root, "lm_head",
                                     options, roberta.encoder);
}

at::Tensor RobertaForCausalLM::Scores(const at::Tensor& states) {
  return lm_head_->Call({states}).value;
}

RobertaForMaskedLM::RobertaForMaskedLM(PretrainedConfig config,
                                       const RobertaConfig& roberta,
                                       ModelLayout layout,
                                       const ModuleOptions& options)
    : BertLikeForMaskedLM(std::move(config), roberta.encoder, std::move(layout),
                          options) {
  lm_head_ = AddChild<RobertaLMHead>(this->layout().tree.root, "lm_head",
                                     options, roberta.encoder);
}

at::Tensor RobertaForMaskedLM::Scores(const at::Tensor& states) {
  return lm_head_->Call({states}).value;
}

RobertaForSequenceClassification::RobertaForSequenceClassification(
    PretrainedConfig config, const RobertaConfig& roberta, ModelLayout layout,
    const ModuleOptions& options)
    : BertLikeForSequenceClassification(std::move(config), roberta.encoder,
                                        std::move(layout), options) {
  classifier_ = AddChild<RobertaClassificationHead>(
      this->layout().tree.root, "classifier", options, roberta.encoder);
}

at::Tensor RobertaForSequenceClassification::Logits(
    const BertModelOutput& base) {
  return classifier_->Call({base.last_hidden_state}).value;
}

// classifier_dropout is not for it.
RobertaForMultipleChoice::RobertaForMultipleChoice(PretrainedConfig config,
                                                   const RobertaConfig& roberta,
                                                   ModelLayout layout,
                                                   const ModuleOptions& options)
    : BertLikeForMultipleChoice(std::move(config), roberta.encoder,
                                std::move(layout), options,
                                roberta.encoder.hidden_dropout_prob) {}

RobertaForTokenClassification::RobertaForTokenClassification(
    PretrainedConfig config, const RobertaConfig& roberta, ModelLayout layout,
    const ModuleOptions& options)
    : BertLikeForTokenClassification(std::move(config), roberta.encoder,
                                     std::move(layout), options) {}

RobertaForQuestionAnswering::RobertaForQuestionAnswering(
    PretrainedConfig config, const RobertaConfig& roberta, ModelLayout layout,
    const ModuleOptions& options)
    : BertLikeForQuestionAnswering(std::move(config), roberta.encoder,
                                   std::move(layout), options) {}

const ModelClass& RobertaModel::Class() {
  static const ModelClass* const model_class = new ModelClass(
      MakeModelClass<RobertaModel, RobertaConfig>(RobertaModelLayoutClass()));
  return *model_class;
}

const ModelClass& RobertaForCausalLM::Class() {
  static const ModelClass* const model_class =
      new ModelClass(MakeModelClass<RobertaForCausalLM, RobertaConfig>(
          RobertaForCausalLMLayoutClass()));
  return *model_class;
}

const ModelClass& RobertaForMaskedLM::Class() {
  static const ModelClass* const model_class =
      new ModelClass(MakeModelClass<RobertaForMaskedLM, RobertaConfig>(
          RobertaForMaskedLMLayoutClass()));
  return *model_class;
}

const ModelClass& RobertaForSequenceClassification::Class() {
  static const ModelClass* const model_class = new ModelClass(
      MakeModelClass<RobertaForSequenceClassification, RobertaConfig>(
          RobertaForSequenceClassificationLayoutClass()));
  return *model_class;
}

const ModelClass& RobertaForMultipleChoice::Class() {
  static const ModelClass* const model_class =
      new ModelClass(MakeModelClass<RobertaForMultipleChoice, RobertaConfig>(
          RobertaForMultipleChoiceLayoutClass()));
  return *model_class;
}

const ModelClass& RobertaForTokenClassification::Class() {
  static const ModelClass* const model_class = new ModelClass(
      MakeModelClass<RobertaForTokenClassification, RobertaConfig>(
          RobertaForTokenClassificationLayoutClass()));
  return *model_class;
}

const ModelClass& RobertaForQuestionAnswering::Class() {
  static const ModelClass* const model_class =
      new ModelClass(MakeModelClass<RobertaForQuestionAnswering, RobertaConfig>(
          RobertaForQuestionAnsweringLayoutClass()));
  return *model_class;
}

namespace {

bool RegisterAll() {
  RegisterModel(&RobertaModel::Class());
  RegisterModel(&RobertaForCausalLM::Class());
  RegisterModel(&RobertaForMaskedLM::Class());
  RegisterModel(&RobertaForSequenceClassification::Class());
  RegisterModel(&RobertaForMultipleChoice::Class());
  RegisterModel(&RobertaForTokenClassification::Class());
  RegisterModel(&RobertaForQuestionAnswering::Class());
  constexpr absl::string_view kType = "roberta";
  RegisterForAutoClass(AutoTask::kBase, kType, "RobertaModel");
  RegisterForAutoClass(AutoTask::kPreTraining, kType, "RobertaForMaskedLM");
  RegisterForAutoClass(AutoTask::kCausalLM, kType, "RobertaForCausalLM");
  RegisterForAutoClass(AutoTask::kMaskedLM, kType, "RobertaForMaskedLM");
  RegisterForAutoClass(AutoTask::kSequenceClassification, kType,
                       "RobertaForSequenceClassification");
  RegisterForAutoClass(AutoTask::kMultipleChoice, kType,
                       "RobertaForMultipleChoice");
  RegisterForAutoClass(AutoTask::kTokenClassification, kType,
                       "RobertaForTokenClassification");
  return RegisterForAutoClass(AutoTask::kQuestionAnswering, kType,
                              "RobertaForQuestionAnswering");
}

[[maybe_unused]] const bool kRegistered = RegisterAll();

}  // namespace

}  // namespace pretrained
