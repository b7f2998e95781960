#ifndef PRETRAINED_GENERATION_PROCESSORS_FROM_CONFIG_H_
#define PRETRAINED_GENERATION_PROCESSORS_FROM_CONFIG_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "generation/beam_processors.h"
#include "generation/beam_search_scorer.h"
#include "generation/logits_processor.h"
#include "generation/stopping_criteria.h"
#include "modeling/generation_config.h"

// What a GenerationConfig asks for, as objects, in 4.34's order.
//
// Errors name the config's file, the attribute and what was found, or say what
// the processor's Create() does.
namespace pretrained {

// What the processors need to know beside the config.
struct ProcessorContext {
  // Tokens that rows start with: the prompt's, or the decoder's for an
  // encoder-decoder.
  int64_t input_ids_seq_length = 0;
  bool is_encoder_decoder = false;
  // [batch, source tokens] int64, before it is repeated for beams; for a
  // decoder alone, its prompt. Undefined if there is none.
  at::Tensor encoder_input_ids;
  // Null: rows go on as they like.
  PrefixAllowedTokens prefix_allowed_tokens;
  // The caller's own: after those of the config, but before the last
  // normalization. None may be of the class of one that the config asks for.
  LogitsProcessorList custom;
  // What does `guidance_scale`, which takes a model; comes first.
  std::shared_ptr<LogitsProcessor> guidance;
};

// `sequence_bias` is a list of pairs, [[[5, 9], -1.5], ..]: JSON has no keys
// that are lists. kInvalidArgument for values that make no processor;
// kUnimplemented for a `guidance_scale` without `context.guidance`.
// Matches: transformers 4.34 generation/utils.py `_get_logits_processor`.
absl::StatusOr<LogitsProcessorList> MakeLogitsProcessors(
    const GenerationConfig& config, const ProcessorContext& context);

// What sampling adds.
// Matches: `_get_logits_warper`.
absl::StatusOr<LogitsProcessorList> MakeLogitsWarpers(
    const GenerationConfig& config);

// `max_length`, `max_time`, and the caller's own. `max_new_tokens` counts only
// once the caller has turned it into `max_length`, as generate() does.
// Matches: `_get_stopping_criteria`.
absl::StatusOr<StoppingCriteriaList> MakeStoppingCriteria(
    const GenerationConfig& config,
    std::optional<int64_t> max_position_embeddings = std::nullopt,
    const StoppingCriteriaList& custom = {});

// `early_stopping`: true, false, or for "never", and numbers that equal one of
// them, kNever.
EarlyStopping EarlyStoppingOf(const GenerationConfig& config);

}  // namespace pretrained

#endif  // PRETRAINED_GENERATION_PROCESSORS_FROM_CONFIG_H_
