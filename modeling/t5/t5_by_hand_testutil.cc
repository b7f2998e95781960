#include "modeling/t5/t5_by_hand_testutil.h"

#include <memory>
#include <string>
#include <utility>

#include "ATen/core/Tensor.h"
#include "absl/container/flat_hash_map.h"
#include "absl/log/absl_check.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "modeling/auto_model.h"
#include "modeling/model_layout.h"
#include "modeling/module.h"
#include "modeling/pretrained_config.h"
#include "modeling/pretrained_model.h"
#include "modeling/tensor_testutil.h"

namespace pretrained {
namespace {

using Weights = absl::flat_hash_map<std::string, at::Tensor>;

// A model of that class in eval mode, whose weights are not set.
absl::StatusOr<std::shared_ptr<PretrainedModel>> Create(
    const ModelClass& model_class, const PretrainedConfig& config,
    at::ScalarType type) {
  absl::StatusOr<ModelLayout> layout = model_class.layout->build(config, {});
  if (!layout.ok()) return layout.status();
  std::shared_ptr<PretrainedModel> model = model_class.create(
      config, *std::move(layout), {.device = at::kCPU, .dtype = type});
  model->PostInit();
  model->eval();
  return model;
}

}  // namespace

absl::StatusOr<std::shared_ptr<PretrainedModel>> LoadByHand(
    const std::string& class_name, const std::string& folder,
    const nlohmann::ordered_json& attributes) {
  absl::StatusOr<const ModelClass*> model_class = FindModel(class_name);
  if (!model_class.ok()) return model_class.status();
  absl::StatusOr<PretrainedConfig> config = PretrainedConfig::FromPretrained(
      folder, *(*model_class)->layout->config_class);
  if (!config.ok()) return config.status();
  for (const auto& [name, value] : attributes.items()) {
    config->Set(name, value);
  }
  absl::StatusOr<std::shared_ptr<PretrainedModel>> model =
      Create(**model_class, *config, at::kFloat);
  if (!model.ok()) return model;
  const NamedTensors stored = ReadGolden(folder + "/model.safetensors", "");
  Weights weights;
  for (const Module::NamedSlot& slot : (*model)->TensorSlots()) {
    auto found = stored.find(slot.name);
    if (found != stored.end())
      weights[slot.name] = found->second.to(at::kFloat);
  }
  absl::Status status = (*model)->ReplaceTensors(weights);
  if (!status.ok()) return status;
  return model;
}

std::shared_ptr<PretrainedModel> RoundAndMakeHalf(PretrainedModel& model,
                                                  at::ScalarType type) {
  Weights rounded;
  Weights half;
  for (const Module::NamedSlot& slot : model.TensorSlots()) {
    const bool is_kept =
        type == at::kHalf && absl::EndsWith(slot.name, ".wo.weight");
    half[slot.name] = slot.tensor.detach().to(is_kept ? at::kFloat : type);
    rounded[slot.name] = half[slot.name].to(at::kFloat);
  }
  const absl::StatusOr<const ModelClass*> model_class =
      FindModel(model.class_name());
  std::shared_ptr<PretrainedModel> result =
      *Create(**model_class, model.config(), type);
  ABSL_CHECK_OK(model.ReplaceTensors(rounded));
  ABSL_CHECK_OK(result->ReplaceTensors(half));
  return result;
}

}  // namespace pretrained
