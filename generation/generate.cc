#include "generation/generate.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ATen/CPUGeneratorImpl.h"
#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "c10/core/InferenceMode.h"
#include "generation/decoding_state.h"
#include "generation/logits_processor.h"
#include "generation/processors_from_config.h"
#include "generation/prompt.h"
#include "generation/search.h"
#include "generation/stopping_criteria.h"
#include "modeling/catch_torch.h"

namespace pretrained {
namespace {

absl::Status CheckClass(const PretrainedModel& model) {
  if (model.can_generate()) return absl::OkStatus();
  return absl::UnimplementedError(
      absl::StrCat(model.class_name(),
                   " has no language model's head to generate with; load the "
                   "checkpoint as another class (AutoModelForCausalLM, "
                   "AutoModelForSeq2SeqLM)"));
}

// The token that padding has, where it is none of the vocabulary.
absl::StatusOr<std::optional<int64_t>> PadOutsideVocabulary(
    const PretrainedModel& model, const GenerationSettings& settings) {
  if (!settings.pad_token_id.has_value()) return std::nullopt;
  absl::StatusOr<int64_t> size = model.config().GetInt("vocab_size");
  if (!size.ok()) return size.status();
  const bool inside =
      *settings.pad_token_id >= 0 && *settings.pad_token_id < *size;
  return inside ? std::nullopt : settings.pad_token_id;
}

absl::StatusOr<SearchOptions> MakeSearchOptions(
    const PretrainedModel& model, const Prompt& prompt,
    const GenerationSettings& settings, const GenerateOptions& options) {
  SearchOptions search{.settings = settings, .on_tokens = options.on_tokens};
  const bool is_encoder_decoder = IsEncoderDecoder(model);
  absl::StatusOr<LogitsProcessorList> processors = MakeLogitsProcessors(
      settings.config,
      {.input_ids_seq_length = prompt.input_ids.size(1),
       .is_encoder_decoder = is_encoder_decoder,
       .encoder_input_ids =
           is_encoder_decoder ? prompt.encoder_input_ids : prompt.input_ids,
       .prefix_allowed_tokens = options.prefix_allowed_tokens_fn,
       .custom = options.logits_processor});
  if (!processors.ok()) return processors.status();
  search.processors = *std::move(processors);
  if (settings.mode == GenerationMode::kSample ||
      settings.mode == GenerationMode::kBeamSample) {
    absl::StatusOr<LogitsProcessorList> warpers =
        MakeLogitsWarpers(settings.config);
    if (!warpers.ok()) return warpers.status();
    search.warpers = *std::move(warpers);
  }
  std::optional<int64_t> max_positions;
  if (model.config().Get("max_position_embeddings").is_number_integer()) {
    max_positions = *model.config().GetInt("max_position_embeddings");
  }
  absl::StatusOr<StoppingCriteriaList> criteria = MakeStoppingCriteria(
      settings.config, max_positions, options.stopping_criteria);
  if (!criteria.ok()) return criteria.status();
  search.criteria = *std::move(criteria);
  if (options.seed.has_value()) {
    search.generator = at::detail::createCPUGenerator(*options.seed);
  }
  return search;
}

// Tensors that outlive InferenceMode, and share nothing with the cache.
void MakeOrdinary(GenerateOutput& output) {
  const auto copy = [](at::Tensor& tensor) {
    if (tensor.defined()) tensor = tensor.clone();
  };
  copy(output.sequences);
  copy(output.sequences_scores);
  copy(output.beam_indices);
  for (auto* tensors : {&output.scores, &output.encoder_hidden_states,
                        &output.encoder_attentions}) {
    for (at::Tensor& tensor : *tensors) copy(tensor);
  }
  for (auto* steps :
       {&output.hidden_states, &output.attentions, &output.cross_attentions}) {
    for (std::vector<at::Tensor>& layers : *steps) {
      for (at::Tensor& tensor : layers) copy(tensor);
    }
  }
}

absl::StatusOr<GenerateOutput> GenerateInInferenceMode(
    PretrainedModel& model, const NamedTensors& inputs,
    const GenerateOptions& options) {
  c10::InferenceMode no_gradients;
  GenerationConfig config = options.generation_config.value_or(
      model.generation_config().value_or(GenerationConfig()));
  absl::StatusOr<GenerationSettings> settings = ReadGenerationSettings(
      std::move(config), options.settings, inputs.contains("attention_mask"));
  if (!settings.ok()) return settings.status();
  if (options.on_tokens != nullptr && settings->num_beams > 1) {
    return absl::InvalidArgumentError(
        "on_tokens: beams may change what they began with, so that no token "
        "is certain before the end; set num_beams to 1, or leave it out");
  }
  // Embeddings stand for the prompt alone: what follows has to be cached.
  const bool is_encoder_decoder = IsEncoderDecoder(model);
  if (!is_encoder_decoder && inputs.contains("inputs_embeds")) {
    settings->use_cache = true;
  }
  absl::StatusOr<Prompt> prompt =
      MakePrompt(model, inputs, settings->config,
                 {.output_attentions = settings->output_attentions,
                  .output_hidden_states = settings->output_hidden_states});
  if (!prompt.ok()) return prompt.status();
  const int64_t prompt_length = prompt->input_ids.size(1);
  absl::Status status = FitToPrompt(
      prompt_length, is_encoder_decoder ? "decoder_input_ids" : "input_ids",
      *settings);
  if (!status.ok()) return status;
  absl::StatusOr<std::optional<int64_t>> pad_outside =
      PadOutsideVocabulary(model, *settings);
  if (!pad_outside.ok()) return pad_outside.status();

  GenerateOutput output;
  output.encoder_hidden_states =
      std::exchange(prompt->encoder_outputs.hidden_states, {});
  output.encoder_attentions =
      std::exchange(prompt->encoder_outputs.attentions, {});
  absl::StatusOr<SearchOptions> search =
      MakeSearchOptions(model, *prompt, *settings, options);
  if (!search.ok()) return search.status();
  DecodingState state(model, *std::move(prompt),
                      {.max_length = settings->max_length,
                       .use_cache = settings->use_cache,
                       .output_hidden_states = settings->output_hidden_states,
                       .output_attentions = settings->output_attentions,
                       .pad_outside_vocabulary = *pad_outside});
  status = settings->num_beams > 1 ? SearchBeams(*search, state, output)
                                   : SearchTokens(*search, state, output);
  if (!status.ok()) return status;
  output.new_tokens = output.sequences.size(1) - prompt_length;
  return output;
}

}  // namespace

absl::StatusOr<GenerateOutput> Generate(PretrainedModel& model,
                                        const NamedTensors& inputs,
                                        const GenerateOptions& options) {
  absl::Status status = CheckClass(model);
  if (!status.ok()) return status;
  return CatchTorch("generating", [&]() -> absl::StatusOr<GenerateOutput> {
    absl::StatusOr<GenerateOutput> output =
        GenerateInInferenceMode(model, inputs, options);
    if (output.ok()) MakeOrdinary(*output);
    return output;
  });
}

}  // namespace pretrained
