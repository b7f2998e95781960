#include "modeling/llama/llama_model.h"

#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/string_view.h"
#include "modeling/auto_model.h"
#include "modeling/llama/llama_layout.h"

namespace pretrained {

LlamaModel::LlamaModel(PretrainedConfig config, const LlamaConfig& llama,
                       ModelLayout layout, const ModuleOptions& options)
    : LlamaLikeModel(std::move(config), llama, /*window=*/std::nullopt,
                     std::move(layout), options) {}

LlamaForCausalLM::LlamaForCausalLM(PretrainedConfig config,
                                   const LlamaConfig& llama, ModelLayout layout,
                                   const ModuleOptions& options)
    : LlamaLikeForCausalLM(
          std::move(config), std::move(layout), options,
          [&](const PretrainedConfig& of_model, ModelLayout model_layout) {
            return std::make_shared<LlamaModel>(
                of_model, llama, std::move(model_layout), options);
          }) {}

LlamaForSequenceClassification::LlamaForSequenceClassification(
    PretrainedConfig config, const LlamaConfig& llama, ModelLayout layout,
    const ModuleOptions& options)
    : LlamaLikeForSequenceClassification(
          std::move(config), std::move(layout), options,
          [&](const PretrainedConfig& of_model, ModelLayout model_layout) {
            return std::make_shared<LlamaModel>(
                of_model, llama, std::move(model_layout), options);
          }) {}

const ModelClass& LlamaModel::Class() {
  static const ModelClass* const model_class = new ModelClass(
      MakeModelClass<LlamaModel, LlamaConfig>(LlamaModelLayoutClass()));
  return *model_class;
}

const ModelClass& LlamaForCausalLM::Class() {
  static const ModelClass* const model_class =
      new ModelClass(MakeModelClass<LlamaForCausalLM, LlamaConfig>(
          LlamaForCausalLMLayoutClass()));
  return *model_class;
}

const ModelClass& LlamaForSequenceClassification::Class() {
  static const ModelClass* const model_class = new ModelClass(
      MakeModelClass<LlamaForSequenceClassification, LlamaConfig>(
          LlamaForSequenceClassificationLayoutClass()));
  return *model_class;
}

namespace {

bool RegisterAll() {
  RegisterModel(&LlamaModel::Class());
  RegisterModel(&LlamaForCausalLM::Class());
  RegisterModel(&LlamaForSequenceClassification::Class());
  // Code LLaMA has a model_type of its own, and nothing else.
  for (const absl::string_view model_type : {"llama", "code_llama"}) {
    RegisterForAutoClass(AutoTask::kBase, model_type, "LlamaModel");
    RegisterForAutoClass(AutoTask::kCausalLM, model_type, "LlamaForCausalLM");
    RegisterForAutoClass(AutoTask::kSequenceClassification, model_type,
                         "LlamaForSequenceClassification");
  }
  return true;
}

[[maybe_unused]] const bool kRegistered = RegisterAll();

}  // namespace

}  // namespace pretrained
