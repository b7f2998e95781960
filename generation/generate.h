#ifndef PRETRAINED_GENERATION_GENERATE_H_
#define PRETRAINED_GENERATION_GENERATE_H_

#include <cstdint>
#include <functional>
#include <optional>

#include "ATen/core/Generator.h"
#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "generation/beam_processors.h"
#include "generation/generate_output.h"
#include "generation/generation_settings.h"
#include "generation/logits_processor.h"
#include "generation/stopping_criteria.h"
#include "modeling/generation_config.h"
#include "modeling/model_output.h"
#include "modeling/pretrained_model.h"

namespace pretrained {

struct GenerateOptions {
  // Instead of the model's own.
  std::optional<GenerationConfig> generation_config;
  // Attributes over that, by name: {"num_beams", 4}, {"eos_token_id", {2, 5}}.
  SettingsByName settings;
  // After those that the settings ask for, and of other classes than these.
  LogitsProcessorList logits_processor;
  StoppingCriteriaList stopping_criteria;
  // Which tokens may follow a text, for the prompt of that number.
  PrefixAllowedTokens prefix_allowed_tokens_fn;
  // Called with each step's new ids, [texts] of int64, on the CPU; an error
  // ends the generation, and is returned. Not with beams, which may yet change
  // what they began with: kInvalidArgument.
  std::function<absl::Status(const at::Tensor& ids)> on_tokens;
  // For draws that can be repeated; else LibTorch's default generator.
  std::optional<uint64_t> seed;
};

// Continues texts, token by token.
//
//   auto model = AutoModelForCausalLM::FromPretrained("gpt2");
//   auto output = Generate(**model, {{"input_ids", ids}},
//                          {.settings = {{"max_new_tokens", 20}}});
//   output->sequences;   // [batch, tokens + 20]
//
// Greedy, or as `do_sample`, `num_beams`, `num_beam_groups` and the further
// settings say, which are the model's generation_config, or the given one,
// under `settings`. Rows of different length are padded on the left, with an
// attention_mask that says so; each then gives what it gives alone. Of a model
// with an encoder that runs once.
//
//   inputs  by name: "input_ids" [batch, tokens], "attention_mask" of the same
//           shape, .. (MakePrompt())
//
// Tokens that a config names (pad_token_id, eos_token_id, ..) may lie outside
// of the vocabulary: no text has them.
// Errors: kInvalidArgument, saying which, for inputs and settings that do not
//     fit; kUnimplemented for a class without a language model's head, and for
//     contrastive and constrained search.
// Cost: keys and values of old tokens stay where they are (KeyValueStore); a
//     prompt is read once, whatever num_beams and num_return_sequences are.
// Threads: as PretrainedModel::Call(). Gradients: none.
// Matches: transformers 4.34 generation/utils.py `GenerationMixin.generate`:
//     the same ids, but where sampling draws.
// Differs: no assistant model. See also MakePrompt().
absl::StatusOr<GenerateOutput> Generate(PretrainedModel& model,
                                        const NamedTensors& inputs,
                                        const GenerateOptions& options = {});

}  // namespace pretrained

#endif  // PRETRAINED_GENERATION_GENERATE_H_
