#include <algorithm>
#include <cstdint>
#include <tuple>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "generation/beam_search_scorer.h"
#include "generation/processors_from_config.h"
#include "generation/sampling.h"
#include "generation/search.h"

namespace pretrained {
namespace {

// The score of beams that stand on no text of their own yet.
constexpr double kNoBeam = -1e9;

// Candidates for the next tokens of each prompt's beams, the best ones first.
struct Candidates {
  at::Tensor scores;   // [batch, candidates]
  at::Tensor tokens;   // Likewise.
  at::Tensor indices;  // Which of the beams each goes on from.
};

absl::StatusOr<BeamSearchOptions> ScorerOptions(
    const GenerationSettings& settings, int64_t batch) {
  BeamSearchOptions options{
      .batch_size = batch,
      .num_beams = settings.num_beams,
      .early_stopping = EarlyStoppingOf(settings.config),
      .num_beam_hyps_to_keep = settings.num_return_sequences,
      .max_length = settings.max_length};
  if (settings.mode == GenerationMode::kBeamGroups) {
    options.num_beam_groups = settings.num_beam_groups;
  }
  absl::StatusOr<double> penalty = settings.config.GetDouble("length_penalty");
  if (!penalty.ok()) return penalty.status();
  options.length_penalty = *penalty;
  return options;
}

// One search. Rows: batch * num_beams, a prompt's one after the other.
class BeamSearch {
 public:
  BeamSearch(SearchOptions& options, const BeamSearchOptions& of_scorer,
             BeamSearchScorer scorer, DecodingState& state)
      : options_(options),
        settings_(options.settings),
        state_(state),
        batch_(of_scorer.batch_size),
        groups_(of_scorer.num_beam_groups),
        group_size_(of_scorer.num_beams / groups_),
        tokens_{settings_.pad_token_id, settings_.eos_token_ids},
        scorer_(std::move(scorer)) {}

  absl::Status Run(GenerateOutput& output);

 private:
  // Rows of a group, [batch * group size].
  at::Tensor RowsOf(int64_t group) const;
  // Chooses how each row of a group goes on: `next_`, `from_`, `beam_scores_`.
  // Returns the group's processed scores.
  absl::StatusOr<at::Tensor> Choose(const at::Tensor& logits, int64_t group);
  absl::StatusOr<Candidates> FindCandidates(const at::Tensor& ids,
                                            at::Tensor scores) const;

  SearchOptions& options_;
  const GenerationSettings& settings_;
  DecodingState& state_;
  const int64_t batch_;
  const int64_t groups_;
  const int64_t group_size_;
  const BeamTokens tokens_;
  BeamSearchScorer scorer_;
  at::Tensor beam_scores_;  // [rows] of float32
  at::Tensor next_;         // Tokens, [rows].
  at::Tensor from_;         // Rows, [rows].
  // Where each row's tokens came from; only with output_scores.
  BeamIndices trails_;
};

at::Tensor BeamSearch::RowsOf(int64_t group) const {
  return at::arange(batch_ * groups_ * group_size_, at::dtype(at::kLong))
      .reshape({batch_, groups_, group_size_})
      .select(1, group)
      .flatten();
}

absl::StatusOr<Candidates> BeamSearch::FindCandidates(const at::Tensor& ids,
                                                      at::Tensor scores) const {
  if (settings_.mode == GenerationMode::kBeamSample) {
    absl::StatusOr<at::Tensor> warped =
        options_.warpers.Process(ids, std::move(scores));
    if (!warped.ok()) return warped.status();
    scores = *std::move(warped);
  }
  const int64_t vocabulary = scores.size(1);
  const at::Tensor flat = scores.reshape({batch_, -1});
  Candidates found;
  if (settings_.mode == GenerationMode::kBeamSample) {
    absl::StatusOr<at::Tensor> drawn =
        SampleFromLogits(flat, 2 * group_size_, options_.generator);
    if (!drawn.ok()) return drawn.status();
    const auto [sorted, order] =
        at::sort(flat.gather(-1, *drawn), /*dim=*/1, /*descending=*/true);
    found.scores = sorted;
    found.tokens = drawn->gather(-1, order);
  } else {
    // Enough that each beam has one that ends no text.
    const int64_t eos = static_cast<int64_t>(settings_.eos_token_ids.size());
    std::tie(found.scores, found.tokens) =
        at::topk(flat, std::max<int64_t>(2, 1 + eos) * group_size_, 1);
  }
  found.indices = at::div(found.tokens, vocabulary, "floor");
  found.tokens = found.tokens.remainder(vocabulary);
  return found;
}

absl::StatusOr<at::Tensor> BeamSearch::Choose(const at::Tensor& logits,
                                              int64_t group) {
  const bool all = groups_ == 1;
  const at::Tensor rows = all ? at::Tensor() : RowsOf(group);
  const auto of_group = [&](const at::Tensor& x) {
    return all ? x : x.index_select(0, rows);
  };
  const at::Tensor ids = of_group(state_.ids());
  at::Tensor processed = at::log_softmax(of_group(logits), -1);
  if (!options_.processors.empty()) {
    absl::StatusOr<at::Tensor> changed = options_.processors.ProcessGroup(
        ids, std::move(processed), {.current_tokens = next_, .index = group});
    if (!changed.ok()) return changed.status();
    processed = *std::move(changed);
  }
  absl::StatusOr<Candidates> found =
      FindCandidates(ids, processed + of_group(beam_scores_).unsqueeze(1));
  if (!found.ok()) return found.status();
  absl::StatusOr<BeamStep> step =
      scorer_.Process(ids, found->scores, found->tokens, found->indices,
                      tokens_, trails_.empty() ? nullptr : &trails_, group);
  if (!step.ok()) return step.status();
  if (all) {
    beam_scores_ = step->next_beam_scores;
    next_ = step->next_beam_tokens;
    from_ = step->next_beam_indices;
  } else {
    beam_scores_.index_copy_(0, rows, step->next_beam_scores);
    next_.index_copy_(0, rows, step->next_beam_tokens);
    from_.index_copy_(0, rows, rows.index_select(0, step->next_beam_indices));
  }
  return processed;
}

absl::Status BeamSearch::Run(GenerateOutput& output) {
  const int64_t rows = batch_ * settings_.num_beams;
  beam_scores_ = at::full({batch_, groups_, group_size_}, kNoBeam, at::kFloat);
  beam_scores_.select(2, 0).fill_(0);
  beam_scores_ = beam_scores_.flatten();
  if (settings_.output_scores && groups_ == 1) trails_.resize(rows);
  bool is_first = true;
  while (true) {
    absl::StatusOr<StepOutput> step = state_.Step();
    if (!step.ok()) return step.status();
    if (std::exchange(is_first, false)) {
      state_.Expand(settings_.num_beams, *step);
    }
    next_ = at::zeros({rows}, at::kLong);
    from_ = at::zeros({rows}, at::kLong);
    at::Tensor scores;  // Processed ones of all groups.
    for (int64_t group = 0; group < groups_; ++group) {
      absl::StatusOr<at::Tensor> processed = Choose(step->logits, group);
      if (!processed.ok()) return processed.status();
      if (groups_ == 1) {
        scores = *processed;
      } else if (settings_.output_scores) {
        if (!scores.defined()) scores = at::zeros_like(step->logits);
        scores.index_copy_(0, RowsOf(group), processed->to(scores.dtype()));
      }
    }
    Record(settings_, scores, *std::move(step), output);
    if (!trails_.empty()) {
      BeamIndices moved;
      const auto from = from_.accessor<int64_t, 1>();
      for (int64_t i = 0; i < rows; ++i) {
        moved.push_back(trails_[from[i]]);
        moved.back().push_back(from[i]);
      }
      trails_ = std::move(moved);
    }
    state_.Advance(from_, next_);
    if (scorer_.is_done() || options_.criteria.ShouldStop(state_.ids(), scores))
      break;
  }
  absl::StatusOr<BeamResult> found = scorer_.Finalize(
      state_.ids(), beam_scores_, options_.criteria.max_length(), tokens_,
      trails_.empty() ? nullptr : &trails_);
  if (!found.ok()) return found.status();
  output.sequences = std::move(found->sequences);
  output.sequences_scores = std::move(found->sequence_scores);
  output.beam_indices = std::move(found->beam_indices);
  return absl::OkStatus();
}

}  // namespace

absl::Status SearchBeams(SearchOptions& options, DecodingState& state,
                         GenerateOutput& output) {
  absl::StatusOr<BeamSearchOptions> of_scorer =
      ScorerOptions(options.settings, state.ids().size(0));
  if (!of_scorer.ok()) return of_scorer.status();
  absl::StatusOr<BeamSearchScorer> scorer =
      BeamSearchScorer::Create(*of_scorer);
  if (!scorer.ok()) return scorer.status();
  return BeamSearch(options, *of_scorer, *std::move(scorer), state).Run(output);
}

}  // namespace pretrained
