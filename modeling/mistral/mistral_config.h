#ifndef PRETRAINED_MODELING_MISTRAL_MISTRAL_CONFIG_H_
#define PRETRAINED_MODELING_MISTRAL_MISTRAL_CONFIG_H_

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "modeling/llama/llama_config.h"
#include "modeling/pretrained_config.h"

namespace pretrained {

// The attributes of a Mistral config that shape the model, checked.
//
// Defaults and names are those of transformers 4.34 configuration_mistral.py
// `MistralConfig`.
struct MistralConfig {
  // All but the window, as LLaMA's: a Mistral has no biases, no pretraining_tp
  // and no rope_scaling, whatever its config.json says of them.
  LlamaConfig decoder;
  // Keys that a query sees before its own; null where the config's is.
  std::optional<int64_t> sliding_window = 4096;

  // As LlamaConfig::From(), and kInvalidArgument for a window below 0.
  static absl::StatusOr<MistralConfig> From(const PretrainedConfig& config);
};

// What makes a PretrainedConfig a Mistral one: model type and defaults.
const ConfigClass& MistralConfigClass();

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_MISTRAL_MISTRAL_CONFIG_H_
