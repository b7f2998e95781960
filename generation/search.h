#ifndef PRETRAINED_GENERATION_SEARCH_H_
#define PRETRAINED_GENERATION_SEARCH_H_

#include <functional>
#include <optional>

#include "ATen/core/Generator.h"
#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "generation/decoding_state.h"
#include "generation/generate_output.h"
#include "generation/generation_settings.h"
#include "generation/logits_processor.h"
#include "generation/stopping_criteria.h"

namespace pretrained {

// The loops of Generate(): each asks the model for scores of the next tokens,
// chooses, and goes on until texts have ended.

struct SearchOptions {
  const GenerationSettings& settings;
  LogitsProcessorList processors;
  LogitsProcessorList warpers;  // Those that count when sampling.
  StoppingCriteriaList criteria;
  // Each step's new ids, [rows] of int64; may be null.
  std::function<absl::Status(const at::Tensor& ids)> on_tokens;
  std::optional<at::Generator> generator;  // LibTorch's default one if absent.
};

// The most likely token, or one drawn, at each step, for each text on its own.
// Each prompt begins `num_return_sequences` texts.
// Matches: transformers 4.34 `greedy_search`, `sample`.
absl::Status SearchTokens(SearchOptions& options, DecodingState& state,
                          GenerateOutput& output);

// `num_beams` texts for each prompt at once, the best of which survive.
// Matches: transformers 4.34 `beam_search`, `beam_sample`,
//     `group_beam_search`.
absl::Status SearchBeams(SearchOptions& options, DecodingState& state,
                         GenerateOutput& output);

// Adds to `output` what the settings ask for of a step.
void Record(const GenerationSettings& settings, const at::Tensor& scores,
            StepOutput step, GenerateOutput& output);

}  // namespace pretrained

#endif  // PRETRAINED_GENERATION_SEARCH_H_
