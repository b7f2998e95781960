#include "modeling/mistral/mistral_layout.h"

#include "absl/status/statusor.h"
#include "modeling/llama/llama_like_layout.h"
#include "modeling/mistral/mistral_config.h"
#include "modeling/model_layout.h"
#include "modeling/pretrained_config.h"

namespace pretrained {
namespace {

constexpr char kFamily[] = "Mistral";

absl::StatusOr<ModelLayout> BuildModel(const PretrainedConfig& config,
                                       const MistralConfig& mistral) {
  return LlamaLikeModelLayout(kFamily, mistral.decoder);
}

absl::StatusOr<ModelLayout> BuildForCausalLM(const PretrainedConfig& config,
                                             const MistralConfig& mistral) {
  return LlamaLikeForCausalLMLayout(kFamily, config, mistral.decoder);
}

absl::StatusOr<ModelLayout> BuildForSequenceClassification(
    const PretrainedConfig& config, const MistralConfig& mistral) {
  return LlamaLikeForSequenceClassificationLayout(kFamily, mistral.decoder,
                                                  config.num_labels());
}

}  // namespace

const LayoutClass& MistralModelLayoutClass() {
  static const LayoutClass* const layout_class =
      new LayoutClass(MakeLayoutClass<MistralConfig>(
          "MistralModel", MistralConfigClass(), BuildModel));
  return *layout_class;
}

const LayoutClass& MistralForCausalLMLayoutClass() {
  static const LayoutClass* const layout_class =
      new LayoutClass(MakeLayoutClass<MistralConfig>(
          "MistralForCausalLM", MistralConfigClass(), BuildForCausalLM));
  return *layout_class;
}

const LayoutClass& MistralForSequenceClassificationLayoutClass() {
  static const LayoutClass* const layout_class =
      new LayoutClass(MakeLayoutClass<MistralConfig>(
          "MistralForSequenceClassification", MistralConfigClass(),
          BuildForSequenceClassification));
  return *layout_class;
}

namespace {

[[maybe_unused]] const bool kRegistered =
    RegisterLayout(&MistralModelLayoutClass()) &&
    RegisterLayout(&MistralForCausalLMLayoutClass()) &&
    RegisterLayout(&MistralForSequenceClassificationLayoutClass());

}  // namespace

}  // namespace pretrained
