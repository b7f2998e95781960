#ifndef PRETRAINED_GENERATION_GENERATION_SETTINGS_H_
#define PRETRAINED_GENERATION_GENERATION_SETTINGS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modeling/generation_config.h"
#include "nlohmann/json.hpp"

namespace pretrained {

// How the next tokens are chosen.
enum class GenerationMode {
  kGreedy,
  kSample,
  kBeams,
  kBeamSample,
  kBeamGroups,
};

// A GenerationConfig that is complete and makes sense, its numbers read.
struct GenerationSettings {
  GenerationConfig config;  // With what was set over it.
  GenerationMode mode = GenerationMode::kGreedy;
  // Whether `max_length` comes from no setting of the call's.
  bool has_default_max_length = true;
  int64_t max_length = 20;  // With the prompt; see FitToPrompt().
  int64_t num_beams = 1;
  int64_t num_beam_groups = 1;
  int64_t num_return_sequences = 1;
  bool use_cache = true;
  bool output_scores = false;
  bool output_attentions = false;
  bool output_hidden_states = false;
  std::optional<int64_t> pad_token_id;  // The first of eos where not set.
  std::vector<int64_t> eos_token_ids;
};

using SettingsByName =
    std::vector<std::pair<std::string, nlohmann::ordered_json>>;

// Reads `config` with `overrides` over it, which are names and values of
// GenerationConfig's attributes.
//   kInvalidArgument  a name that is none, a value that does not fit
//   kUnimplemented    contrastive search, constraints
// Logs what is set but does not count.
// Matches: transformers 4.34 `generate`, `_get_generation_mode`.
absl::StatusOr<GenerationSettings> ReadGenerationSettings(
    GenerationConfig config, const SettingsByName& overrides,
    bool has_attention_mask);

// Says how long texts become whose prompts have `prompt_length` tokens: puts
// `max_length`, here and in the config. Warns where the limits contradict one
// another, or leave no room.
//   input_name  what the prompt is, for warnings: "input_ids"
// Matches: transformers 4.34 `generate`, `_validate_generated_length`.
absl::Status FitToPrompt(int64_t prompt_length, const std::string& input_name,
                         GenerationSettings& settings);

}  // namespace pretrained

#endif  // PRETRAINED_GENERATION_GENERATION_SETTINGS_H_
