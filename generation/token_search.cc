#include <cstdint>
#include <utility>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "generation/sampling.h"
#include "generation/search.h"

namespace pretrained {
namespace {

// The next token of each row, [rows].
absl::StatusOr<at::Tensor> Choose(const SearchOptions& options,
                                  const at::Tensor& scores) {
  if (options.settings.mode == GenerationMode::kGreedy) {
    return scores.argmax(-1);
  }
  absl::StatusOr<at::Tensor> drawn =
      SampleFromLogits(scores, 1, options.generator);
  if (!drawn.ok()) return drawn;
  return drawn->squeeze(1);
}

}  // namespace

void Record(const GenerationSettings& settings, const at::Tensor& scores,
            StepOutput step, GenerateOutput& output) {
  if (settings.output_scores) output.scores.push_back(scores);
  if (settings.output_hidden_states) {
    output.hidden_states.push_back(std::move(step.hidden_states));
  }
  if (settings.output_attentions) {
    output.attentions.push_back(std::move(step.attentions));
    if (!step.cross_attentions.empty()) {
      output.cross_attentions.push_back(std::move(step.cross_attentions));
    }
  }
}

absl::Status SearchTokens(SearchOptions& options, DecodingState& state,
                          GenerateOutput& output) {
  const GenerationSettings& settings = options.settings;
  at::Tensor unfinished;  // Of each row; undefined before the first step.
  while (true) {
    absl::StatusOr<StepOutput> step = state.Step();
    if (!step.ok()) return step.status();
    if (!unfinished.defined()) {
      state.Expand(settings.num_return_sequences, *step);
      unfinished = at::ones({state.ids().size(0)}, at::dtype(at::kBool));
    }
    at::Tensor scores = step->logits;
    for (LogitsProcessorList* list : {&options.processors, &options.warpers}) {
      if (list->empty()) continue;
      absl::StatusOr<at::Tensor> changed =
          list->Process(state.ids(), std::move(scores));
      if (!changed.ok()) return changed.status();
      scores = *std::move(changed);
    }
    Record(settings, scores, *std::move(step), output);
    absl::StatusOr<at::Tensor> chosen = Choose(options, scores);
    if (!chosen.ok()) return chosen.status();
    at::Tensor tokens = *std::move(chosen);
    if (!settings.eos_token_ids.empty()) {
      // There is one: eos_token_id, if nothing else.
      tokens =
          tokens.masked_fill(unfinished.logical_not(), *settings.pad_token_id);
    }
    state.Advance(at::Tensor(), tokens);
    if (options.on_tokens != nullptr) {
      absl::Status status = options.on_tokens(tokens);
      if (!status.ok()) return status;
    }
    for (const int64_t eos : settings.eos_token_ids) {
      unfinished = unfinished.logical_and(tokens.ne(eos));
    }
    const bool all_ended =
        !settings.eos_token_ids.empty() && !unfinished.any().item().toBool();
    if (options.criteria.ShouldStop(state.ids(), scores) || all_ended) break;
  }
  output.sequences = state.ids();
  return absl::OkStatus();
}

}  // namespace pretrained
