#include "generation/beam_search_scorer.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "absl/algorithm/container.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"
#include "modeling/catch_torch.h"

namespace pretrained {
namespace {

absl::Status Bad(absl::string_view name, int64_t found,
                 absl::string_view expected) {
  return absl::InvalidArgumentError(absl::StrCat(
      "'", name, "' is ", found, ", but ", expected, " is expected"));
}

absl::Status CheckShape(const char* name, const at::Tensor& tensor,
                        std::vector<int64_t> shape, bool is_ids) {
  const bool fits =
      tensor.defined() && tensor.sizes() == at::IntArrayRef(shape) &&
      (is_ids ? tensor.scalar_type() == at::kLong : tensor.is_floating_point());
  if (fits) return absl::OkStatus();
  const std::string found =
      tensor.defined()
          ? absl::StrCat("[", absl::StrJoin(tensor.sizes(), ", "), "] of ",
                         c10::toString(tensor.scalar_type()))
          : "undefined";
  return absl::InvalidArgumentError(absl::StrCat(
      name, " is ", found, ", but ", is_ids ? "int64" : "floating-point", " [",
      absl::StrJoin(shape, ", "), "] is expected"));
}

absl::Status CheckRows(const at::Tensor& input_ids, int64_t rows) {
  const bool has_tokens = input_ids.defined() && input_ids.dim() == 2;
  return CheckShape("input_ids", input_ids,
                    {rows, has_tokens ? input_ids.size(1) : 1}, true);
}

absl::Status CheckBeamIndices(const BeamIndices* beam_indices, int64_t rows) {
  if (beam_indices == nullptr ||
      static_cast<int64_t>(beam_indices->size()) >= rows) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("beam_indices have ", beam_indices->size(),
                   " rows, but one for each of ", rows, " is expected"));
}

// A tensor's elements here, row by row, in double precision or as ids.
std::vector<double> DoublesOf(const at::Tensor& tensor) {
  const at::Tensor here = tensor.to(at::kCPU, at::kDouble).contiguous();
  const double* begin = here.const_data_ptr<double>();
  return std::vector<double>(begin, begin + here.numel());
}

std::vector<int64_t> IdsOf(const at::Tensor& tensor) {
  const at::Tensor here = tensor.to(at::kCPU).contiguous();
  const int64_t* begin = here.const_data_ptr<int64_t>();
  return std::vector<int64_t>(begin, begin + here.numel());
}

at::Tensor IdTensor(const std::vector<int64_t>& ids, c10::Device device) {
  return at::tensor(ids, at::dtype(at::kLong)).to(device);
}

// Puts `start`, [n], at the start of a row of `table`.
void FillStart(const at::Tensor& table, int64_t row, const at::Tensor& start) {
  table.select(0, row).narrow(0, 0, start.size(0)).copy_(start);
}

}  // namespace

absl::StatusOr<BeamHypotheses> BeamHypotheses::Create(
    int64_t num_beams, double length_penalty, EarlyStopping early_stopping,
    std::optional<int64_t> max_length) {
  if (early_stopping == EarlyStopping::kNever && !max_length.has_value()) {
    return absl::InvalidArgumentError(
        "early_stopping \"never\" asks what a beam may still come to: set "
        "max_length");
  }
  return BeamHypotheses(num_beams, length_penalty, early_stopping, max_length);
}

void BeamHypotheses::Add(const at::Tensor& tokens, double sum_logprobs,
                         std::optional<std::vector<int64_t>> beam_indices) {
  const double score =
      sum_logprobs /
      std::pow(static_cast<double>(tokens.size(-1)), length_penalty_);
  if (size() >= num_beams_ && !(score > worst_score_)) return;
  beams_.push_back({score, tokens.clone(), std::move(beam_indices)});
  if (size() <= num_beams_) {
    worst_score_ = std::min(score, worst_score_);
    return;
  }
  const auto is_worse = [](const Hypothesis& a, const Hypothesis& b) {
    return a.score < b.score;
  };
  // Of equals the first goes.
  beams_.erase(absl::c_min_element(beams_, is_worse));
  worst_score_ = absl::c_min_element(beams_, is_worse)->score;
}

bool BeamHypotheses::IsDone(double best_sum_logprobs, int64_t cur_len) const {
  if (size() < num_beams_) return false;
  if (early_stopping_ == EarlyStopping::kYes) return true;
  const bool may_grow =
      early_stopping_ == EarlyStopping::kNever && length_penalty_ > 0;
  const int64_t length = may_grow ? *max_length_ : cur_len;
  const double attainable =
      best_sum_logprobs /
      std::pow(static_cast<double>(length), length_penalty_);
  return worst_score_ >= attainable;
}

absl::StatusOr<BeamSearchScorer> BeamSearchScorer::Create(
    const BeamSearchOptions& options) {
  if (options.batch_size < 1) {
    return Bad("batch_size", options.batch_size, "an integer above 0");
  }
  if (options.num_beams < 2) {
    return Bad("num_beams", options.num_beams,
               "an integer above 1 (for 1, take the best token)");
  }
  if (options.num_beam_groups < 1 ||
      options.num_beams % options.num_beam_groups != 0) {
    return Bad(
        "num_beam_groups", options.num_beam_groups,
        absl::StrCat("a divisor of 'num_beams', ", options.num_beams, ","));
  }
  if (options.num_beam_hyps_to_keep < 1 ||
      options.num_beam_hyps_to_keep > options.num_beams) {
    return Bad("num_beam_hyps_to_keep", options.num_beam_hyps_to_keep,
               absl::StrCat("from 1 to 'num_beams', ", options.num_beams, ","));
  }
  std::vector<BeamHypotheses> hypotheses;
  for (int64_t i = 0; i < options.batch_size * options.num_beam_groups; ++i) {
    absl::StatusOr<BeamHypotheses> one = BeamHypotheses::Create(
        options.num_beams / options.num_beam_groups, options.length_penalty,
        options.early_stopping, options.max_length);
    if (!one.ok()) return one.status();
    hypotheses.push_back(*std::move(one));
  }
  return BeamSearchScorer(options, std::move(hypotheses));
}

bool BeamSearchScorer::is_done() const {
  return absl::c_all_of(done_, [](bool done) { return done; });
}

absl::StatusOr<BeamStep> BeamSearchScorer::Process(
    const at::Tensor& input_ids, const at::Tensor& next_scores,
    const at::Tensor& next_tokens, const at::Tensor& next_indices,
    const BeamTokens& tokens, const BeamIndices* beam_indices,
    int64_t group_index) {
  const int64_t batch = options_.batch_size, group = group_size_;
  if (group_index < 0 || group_index >= options_.num_beam_groups) {
    return Bad("group_index", group_index,
               absl::StrCat("from 0 to below ", options_.num_beam_groups));
  }
  absl::Status status = CheckRows(input_ids, batch * group);
  const bool has_shape = next_scores.defined() && next_scores.dim() == 2;
  const int64_t count = has_shape ? next_scores.size(1) : 2 * group;
  if (status.ok()) {
    status = CheckShape("next_scores", next_scores, {batch, count}, false);
  }
  if (status.ok()) {
    status = CheckShape("next_tokens", next_tokens, {batch, count}, true);
  }
  if (status.ok()) {
    status = CheckShape("next_indices", next_indices, {batch, count}, true);
  }
  if (status.ok()) status = CheckBeamIndices(beam_indices, batch * group);
  if (!status.ok()) return status;
  return CatchTorch("BeamSearchScorer", [&]() -> absl::StatusOr<BeamStep> {
    const std::vector<double> scores = DoublesOf(next_scores);
    const std::vector<int64_t> ids = IdsOf(next_tokens);
    const std::vector<int64_t> indices = IdsOf(next_indices);
    Running running(batch * group);
    for (int64_t sequence = 0; sequence < batch; ++sequence) {
      const auto row = [&](const auto& all) {
        return absl::MakeConstSpan(all).subspan(sequence * count, count);
      };
      absl::Status step = Continue(sequence, group_index, input_ids,
                                   {row(scores), row(ids), row(indices)},
                                   tokens, beam_indices, running);
      if (!step.ok()) return step;
    }
    return BeamStep{
        .next_beam_scores = at::tensor(running.scores, at::dtype(at::kDouble))
                                .to(at::dtype(next_scores.scalar_type())
                                        .device(input_ids.device())),
        .next_beam_tokens = IdTensor(running.tokens, input_ids.device()),
        .next_beam_indices = IdTensor(running.rows, input_ids.device())};
  });
}

// One sequence's part of Process().
absl::Status BeamSearchScorer::Continue(int64_t sequence, int64_t group_index,
                                        const at::Tensor& input_ids,
                                        const Candidates& candidates,
                                        const BeamTokens& tokens,
                                        const BeamIndices* beam_indices,
                                        Running& running) {
  const int64_t place = sequence * options_.num_beam_groups + group_index;
  const int64_t first_row = sequence * group_size_;
  if (done_[place]) {
    if (tokens.eos_token_ids.empty() || !tokens.pad_token_id.has_value()) {
      return absl::InvalidArgumentError(
          "a sequence is done, and others are not: set pad_token_id and "
          "eos_token_id");
    }
    std::fill_n(running.tokens.begin() + first_row, group_size_,
                *tokens.pad_token_id);
    return absl::OkStatus();
  }
  const int64_t count = candidates.tokens.size();
  int64_t beam = 0;
  for (int64_t rank = 0; rank < count && beam < group_size_; ++rank) {
    const int64_t index = candidates.indices[rank];
    if (index < 0 || index >= group_size_) {
      return Bad("next_indices", index,
                 absl::StrCat("a beam of the group's ", group_size_));
    }
    const int64_t row = first_row + index;
    if (!absl::c_linear_search(tokens.eos_token_ids, candidates.tokens[rank])) {
      running.scores[first_row + beam] = candidates.scores[rank];
      running.tokens[first_row + beam] = candidates.tokens[rank];
      running.rows[first_row + beam] = row;
      ++beam;
      continue;
    }
    // An end counts only among the best.
    if (rank >= group_size_) continue;
    std::optional<std::vector<int64_t>> path;
    if (beam_indices != nullptr) {
      path = (*beam_indices)[row];
      path->push_back(row);
    }
    hypotheses_[place].Add(input_ids.select(0, row), candidates.scores[rank],
                           std::move(path));
  }
  if (beam < group_size_) {
    return absl::InvalidArgumentError(absl::StrCat(
        "of the next tokens [", absl::StrJoin(candidates.tokens, ", "),
        "] only ", beam, " are no end of sequence, but ", group_size_,
        " beams are to go on: give twice as many tokens as beams"));
  }
  done_[place] = hypotheses_[place].IsDone(
      *absl::c_max_element(candidates.scores), input_ids.size(1) + 1);
  return absl::OkStatus();
}

absl::StatusOr<BeamResult> BeamSearchScorer::Finalize(
    const at::Tensor& input_ids, const at::Tensor& final_beam_scores,
    std::optional<int64_t> max_length, const BeamTokens& tokens,
    const BeamIndices* beam_indices) {
  const int64_t rows = options_.batch_size * options_.num_beams;
  absl::Status status = CheckRows(input_ids, rows);
  if (status.ok()) {
    status = CheckShape("final_beam_scores", final_beam_scores, {rows}, false);
  }
  if (status.ok()) status = CheckBeamIndices(beam_indices, rows);
  if (!status.ok()) return status;
  return CatchTorch("BeamSearchScorer", [&]() -> absl::StatusOr<BeamResult> {
    const std::vector<double> scores = DoublesOf(final_beam_scores);
    for (size_t place = 0; place < hypotheses_.size(); ++place) {
      if (done_[place]) continue;
      for (int64_t beam = 0; beam < group_size_; ++beam) {
        const int64_t row = place * group_size_ + beam;
        std::optional<std::vector<int64_t>> path;
        if (beam_indices != nullptr) path = (*beam_indices)[row];
        hypotheses_[place].Add(input_ids.select(0, row), scores[row],
                               std::move(path));
      }
    }
    return Decode(BestHypotheses(), input_ids.device(), max_length, tokens);
  });
}

// Of each sequence the best, the very best first.
std::vector<BeamHypotheses::Hypothesis> BeamSearchScorer::BestHypotheses()
    const {
  const int64_t groups = options_.num_beam_groups;
  std::vector<BeamHypotheses::Hypothesis> best;
  for (int64_t sequence = 0; sequence < options_.batch_size; ++sequence) {
    std::vector<BeamHypotheses::Hypothesis> all;
    for (int64_t group = 0; group < groups; ++group) {
      const auto& beams = hypotheses_[sequence * groups + group].beams();
      all.insert(all.end(), beams.begin(), beams.end());
    }
    // Of equals the last is the best, as in the peer.
    absl::c_reverse(all);
    absl::c_stable_sort(
        all, [](const auto& a, const auto& b) { return a.score > b.score; });
    const int64_t kept =
        std::min<int64_t>(options_.num_beam_hyps_to_keep, all.size());
    best.insert(best.end(), all.begin(), all.begin() + kept);
  }
  return best;
}

absl::StatusOr<BeamResult> BeamSearchScorer::Decode(
    const std::vector<BeamHypotheses::Hypothesis>& best, c10::Device device,
    std::optional<int64_t> max_length, const BeamTokens& tokens) const {
  const int64_t count = best.size();
  int64_t shortest = best[0].tokens.size(0), longest = shortest;
  for (const BeamHypotheses::Hypothesis& one : best) {
    shortest = std::min(shortest, one.tokens.size(0));
    longest = std::max(longest, one.tokens.size(0));
  }
  // Room for an end of sequence, unless there is none.
  const bool has_eos = !tokens.eos_token_ids.empty();
  int64_t width = longest + (has_eos ? 1 : 0);
  if (max_length.has_value()) width = std::min(width, *max_length);
  if (longest > width) {
    return absl::InvalidArgumentError(
        absl::StrCat("a hypothesis has ", longest,
                     " tokens, but 'max_length' is ", *max_length));
  }
  if (shortest != longest && !tokens.pad_token_id.has_value()) {
    return absl::InvalidArgumentError(
        "sequences of several lengths are padded: set pad_token_id");
  }
  BeamResult result;
  const auto ids = at::dtype(at::kLong).device(device);
  result.sequences =
      at::full({count, width}, tokens.pad_token_id.value_or(0), ids);
  std::vector<float> scores;
  for (int64_t row = 0; row < count; ++row) {
    const at::Tensor& hypothesis = best[row].tokens;
    FillStart(result.sequences, row, hypothesis);
    if (has_eos && hypothesis.size(0) < width) {
      result.sequences[row][hypothesis.size(0)].fill_(tokens.eos_token_ids[0]);
    }
    scores.push_back(static_cast<float>(best[row].score));
  }
  result.sequence_scores =
      at::tensor(scores, at::dtype(at::kFloat)).to(options_.device);
  if (!best[0].beam_indices.has_value()) return result;
  result.beam_indices = at::full({count, width}, -1, ids);
  for (int64_t row = 0; row < count; ++row) {
    const auto path = best[row].beam_indices.value_or(std::vector<int64_t>());
    FillStart(result.beam_indices, row, IdTensor(path, device));
  }
  return result;
}

}  // namespace pretrained
