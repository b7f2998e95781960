#include "modeling/llama/llama_layout.h"

#include <cstdint>

#include "absl/status/statusor.h"
#include "modeling/llama/llama_config.h"
#include "modeling/llama/llama_like_layout.h"
#include "modeling/model_layout.h"
#include "modeling/pretrained_config.h"

namespace pretrained {
namespace {

constexpr char kFamily[] = "Llama";

absl::StatusOr<ModelLayout> BuildModel(const PretrainedConfig& config,
                                       const LlamaConfig& llama) {
  return LlamaModelLayout(llama);
}

absl::StatusOr<ModelLayout> BuildForSequenceClassification(
    const PretrainedConfig& config, const LlamaConfig& llama) {
  return LlamaForSequenceClassificationLayout(llama, config.num_labels());
}

}  // namespace

ModelLayout LlamaModelLayout(const LlamaConfig& config) {
  return LlamaLikeModelLayout(kFamily, config);
}

absl::StatusOr<ModelLayout> LlamaForCausalLMLayout(
    const PretrainedConfig& config, const LlamaConfig& llama) {
  return LlamaLikeForCausalLMLayout(kFamily, config, llama);
}

ModelLayout LlamaForSequenceClassificationLayout(const LlamaConfig& config,
                                                 int64_t num_labels) {
  return LlamaLikeForSequenceClassificationLayout(kFamily, config, num_labels);
}

const LayoutClass& LlamaModelLayoutClass() {
  static const LayoutClass* const layout_class =
      new LayoutClass(MakeLayoutClass<LlamaConfig>(
          "LlamaModel", LlamaConfigClass(), BuildModel));
  return *layout_class;
}

const LayoutClass& LlamaForCausalLMLayoutClass() {
  static const LayoutClass* const layout_class =
      new LayoutClass(MakeLayoutClass<LlamaConfig>(
          "LlamaForCausalLM", LlamaConfigClass(), LlamaForCausalLMLayout));
  return *layout_class;
}

const LayoutClass& LlamaForSequenceClassificationLayoutClass() {
  static const LayoutClass* const layout_class =
      new LayoutClass(MakeLayoutClass<LlamaConfig>(
          "LlamaForSequenceClassification", LlamaConfigClass(),
          BuildForSequenceClassification));
  return *layout_class;
}

namespace {

[[maybe_unused]] const bool kRegistered =
    RegisterLayout(&LlamaModelLayoutClass()) &&
    RegisterLayout(&LlamaForCausalLMLayoutClass()) &&
    RegisterLayout(&LlamaForSequenceClassificationLayoutClass());

}  // namespace

}  // namespace pretrained
