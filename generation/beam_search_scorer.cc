#include "generation/beam_search_scorer.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "absl/algorithm/container.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace pretrained {
namespace {

std::vector<int64_t> ToVector(const at::Tensor& ids) {
  const at::Tensor row = ids.contiguous();
  const int64_t* const data = row.data_ptr<int64_t>();
  return {data, data + row.numel()};
}

}  // namespace

BeamSearchScorer::BeamSearchScorer(const BeamSearchOptions& options)
    : options_(options),
      group_size_(options.num_beams / options.num_beam_groups),
      hypotheses_(options.batch_size * options.num_beam_groups) {}

bool BeamSearchScorer::IsEos(int64_t token) const {
  return absl::c_linear_search(options_.eos_token_ids, token);
}

void BeamSearchScorer::Add(Hypotheses& hypotheses, const at::Tensor& ids,
                           double sum, std::vector<int64_t> trail) const {
  const double score =
      sum / std::pow(static_cast<double>(ids.numel()), options_.length_penalty);
  std::vector<Text>& texts = hypotheses.texts;
  const size_t most = static_cast<size_t>(group_size_);
  if (texts.size() >= most && score <= hypotheses.worst_score) return;
  texts.push_back({score, ToVector(ids), std::move(trail)});
  if (texts.size() <= most) {
    hypotheses.worst_score = std::min(score, hypotheses.worst_score);
    return;
  }
  const auto is_worse = [](const Text& x, const Text& y) {
    return x.score < y.score;
  };
  texts.erase(std::min_element(texts.begin(), texts.end(), is_worse));
  hypotheses.worst_score =
      std::min_element(texts.begin(), texts.end(), is_worse)->score;
}

bool BeamSearchScorer::IsDone(const Hypotheses& hypotheses, double best_sum,
                              int64_t length) const {
  if (static_cast<int64_t>(hypotheses.texts.size()) < group_size_) return false;
  if (options_.early_stopping == EarlyStopping::kYes) return true;
  const bool longest = options_.early_stopping == EarlyStopping::kNever &&
                       options_.length_penalty > 0.0;
  const double tokens =
      static_cast<double>(longest ? options_.max_length : length);
  return hypotheses.worst_score >=
         best_sum / std::pow(tokens, options_.length_penalty);
}

bool BeamSearchScorer::is_done() const {
  return absl::c_all_of(hypotheses_,
                        [](const Hypotheses& each) { return each.is_done; });
}

absl::StatusOr<NextBeams> BeamSearchScorer::Process(
    const at::Tensor& input_ids, const at::Tensor& scores,
    const at::Tensor& tokens, const at::Tensor& indices, int64_t group,
    const std::vector<std::vector<int64_t>>* trails) {
  const int64_t length = input_ids.size(1) + 1;
  const int64_t rows = options_.batch_size * group_size_;
  NextBeams next{.scores = at::zeros({rows}, at::kFloat),
                 .tokens = at::zeros({rows}, at::kLong),
                 .indices = at::zeros({rows}, at::kLong)};
  const at::Tensor exact = scores.to(at::kFloat).contiguous();
  const auto score_of = exact.accessor<float, 2>();
  const auto token_of = tokens.accessor<int64_t, 2>();
  const auto index_of = indices.accessor<int64_t, 2>();
  float* const next_score = next.scores.data_ptr<float>();
  int64_t* const next_token = next.tokens.data_ptr<int64_t>();
  int64_t* const next_index = next.indices.data_ptr<int64_t>();
  for (int64_t prompt = 0; prompt < options_.batch_size; ++prompt) {
    Hypotheses& found = hypotheses_[prompt * options_.num_beam_groups + group];
    const int64_t first = prompt * group_size_;
    if (found.is_done) {
      for (int64_t i = 0; i < group_size_; ++i) {
        next_token[first + i] = options_.pad_token_id.value_or(0);
      }
      continue;
    }
    int64_t beam = 0;
    float best = score_of[prompt][0];
    for (int64_t rank = 0; rank < exact.size(1); ++rank) {
      best = std::max(best, score_of[prompt][rank]);
      if (beam == group_size_) continue;
      const int64_t row = first + index_of[prompt][rank];
      if (!IsEos(token_of[prompt][rank])) {
        next_score[first + beam] = score_of[prompt][rank];
        next_token[first + beam] = token_of[prompt][rank];
        next_index[first + beam] = row;
        ++beam;
      } else if (rank < group_size_) {
        std::vector<int64_t> trail;
        if (trails != nullptr) {
          trail = (*trails)[row];
          trail.push_back(row);
        }
        Add(found, input_ids.select(0, row), score_of[prompt][rank],
            std::move(trail));
      }
    }
    if (beam < group_size_) {
      return absl::InvalidArgumentError(absl::StrCat(
          "of ", exact.size(1), " next tokens only ", beam,
          " are no eos_token_id, but ", group_size_,
          " beams have to go on; set fewer eos_token_id, or fewer beams"));
    }
    found.is_done = IsDone(found, best, length);
  }
  return next;
}

std::vector<const BeamSearchScorer::Text*> BeamSearchScorer::Best(
    int64_t row) const {
  std::vector<const Text*> texts;
  for (int64_t group = 0; group < options_.num_beam_groups; ++group) {
    for (const Text& text :
         hypotheses_[row * options_.num_beam_groups + group].texts) {
      texts.push_back(&text);
    }
  }
  // Of equals the last one is the best, as in the peer.
  absl::c_reverse(texts);
  absl::c_stable_sort(
      texts, [](const Text* x, const Text* y) { return x->score > y->score; });
  texts.resize(std::min(texts.size(),
                        static_cast<size_t>(options_.num_beam_hyps_to_keep)));
  return texts;
}

absl::StatusOr<FoundTexts> BeamSearchScorer::Finalize(
    const at::Tensor& input_ids, const at::Tensor& scores,
    const std::vector<std::vector<int64_t>>* trails) {
  for (size_t i = 0; i < hypotheses_.size(); ++i) {
    if (hypotheses_[i].is_done) continue;
    for (int64_t beam = 0; beam < group_size_; ++beam) {
      const int64_t row = static_cast<int64_t>(i) * group_size_ + beam;
      Add(hypotheses_[i], input_ids.select(0, row),
          scores[row].item().toDouble(),
          trails == nullptr ? std::vector<int64_t>() : (*trails)[row]);
    }
  }
  std::vector<const Text*> best;
  for (int64_t row = 0; row < options_.batch_size; ++row) {
    for (const Text* text : Best(row)) best.push_back(text);
  }
  size_t longest = 0;
  for (const Text* text : best) longest = std::max(longest, text->ids.size());
  const int64_t length =
      std::min(static_cast<int64_t>(longest) + 1, options_.max_length);
  if (length < static_cast<int64_t>(longest)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "beams have ", longest, " tokens, but max_length is ",
        options_.max_length, "; raise it above the length of the prompt"));
  }
  const int64_t count = static_cast<int64_t>(best.size());
  FoundTexts found{
      .sequences = at::full({count, length}, options_.pad_token_id.value_or(0),
                            at::kLong),
      .scores = at::zeros({count}, at::kFloat)};
  if (trails != nullptr) {
    found.beam_indices = at::full({count, length}, -1, at::kLong);
  }
  for (int64_t i = 0; i < count; ++i) {
    const Text& text = *best[i];
    const int64_t tokens = static_cast<int64_t>(text.ids.size());
    found.scores[i] = text.score;
    found.sequences[i]
        .narrow(0, 0, tokens)
        .copy_(at::tensor(text.ids, at::kLong));
    if (tokens < length) {
      // Only a text that ended is shorter.
      found.sequences[i][tokens] = options_.eos_token_ids.empty()
                                       ? options_.pad_token_id.value_or(0)
                                       : options_.eos_token_ids.front();
    }
    if (trails == nullptr || text.trail.empty()) continue;
    found.beam_indices[i]
        .narrow(0, 0, static_cast<int64_t>(text.trail.size()))
        .copy_(at::tensor(text.trail, at::kLong));
  }
  return found;
}

}  // namespace pretrained
