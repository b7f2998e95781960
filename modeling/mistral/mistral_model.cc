#include "modeling/mistral/mistral_model.h"

#include <cstdint>
#include <limits>
#include <memory>
#include <utility>

#include "modeling/auto_model.h"
#include "modeling/mistral/mistral_layout.h"

namespace pretrained {
namespace {

// A model without a window still hides keys as one with a window does.
int64_t WindowOf(const MistralConfig& mistral) {
  return mistral.sliding_window.value_or(std::numeric_limits<int64_t>::max());
}

}  // namespace

MistralModel::MistralModel(PretrainedConfig config,
                           const MistralConfig& mistral, ModelLayout layout,
                           const ModuleOptions& options)
    : LlamaLikeModel(std::move(config), mistral.decoder, WindowOf(mistral),
                     std::move(layout), options) {}

MistralForCausalLM::MistralForCausalLM(PretrainedConfig config,
                                       const MistralConfig& mistral,
                                       ModelLayout layout,
                                       const ModuleOptions& options)
    : LlamaLikeForCausalLM(
          std::move(config), std::move(layout), options,
          [&](const PretrainedConfig& of_model, ModelLayout model_layout) {
            return std::make_shared<MistralModel>(
                of_model, mistral, std::move(model_layout), options);
          }) {}

MistralForSequenceClassification::MistralForSequenceClassification(
    PretrainedConfig config, const MistralConfig& mistral, ModelLayout layout,
    const ModuleOptions& options)
    : LlamaLikeForSequenceClassification(
          std::move(config), std::move(layout), options,
          [&](const PretrainedConfig& of_model, ModelLayout model_layout) {
            return std::make_shared<MistralModel>(
                of_model, mistral, std::move(model_layout), options);
          }) {}

const ModelClass& MistralModel::Class() {
  static const ModelClass* const model_class = new ModelClass(
      MakeModelClass<MistralModel, MistralConfig>(MistralModelLayoutClass()));
  return *model_class;
}

const ModelClass& MistralForCausalLM::Class() {
  static const ModelClass* const model_class =
      new ModelClass(MakeModelClass<MistralForCausalLM, MistralConfig>(
          MistralForCausalLMLayoutClass()));
  return *model_class;
}

const ModelClass& MistralForSequenceClassification::Class() {
  static const ModelClass* const model_class = new ModelClass(
      MakeModelClass<MistralForSequenceClassification, MistralConfig>(
          MistralForSequenceClassificationLayoutClass()));
  return *model_class;
}

namespace {

bool RegisterAll() {
  RegisterModel(&MistralModel::Class());
  RegisterModel(&MistralForCausalLM::Class());
  RegisterModel(&MistralForSequenceClassification::Class());
  RegisterForAutoClass(AutoTask::kBase, "mistral", "MistralModel");
  RegisterForAutoClass(AutoTask::kCausalLM, "mistral", "MistralForCausalLM");
  return RegisterForAutoClass(AutoTask::kSequenceClassification, "mistral",
                              "MistralForSequenceClassification");
}

[[maybe_unused]] const bool kRegistered = RegisterAll();

}  // namespace

}  // namespace pretrained
