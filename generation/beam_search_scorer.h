#ifndef PRETRAINED_GENERATION_BEAM_SEARCH_SCORER_H_
#define PRETRAINED_GENERATION_BEAM_SEARCH_SCORER_H_

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "c10/core/Device.h"

namespace pretrained {

// When a sequence's beams are done, once as many hypotheses as beams are kept.
enum class EarlyStopping {
  kNo,     // When the best running beam, at its present length, is no better
           // than the worst of them.
  kYes,    // At once.
  kNever,  // As kNo, but with a length_penalty above 0 taking it that a beam
           // may still grow to max_length.
};

// Which beam each token of a row came from, one list per row.
using BeamIndices = std::vector<std::vector<int64_t>>;

// The best finished hypotheses of one sequence.
// Threads: as a value; const use from several threads is safe.
// Matches: transformers 4.34 generation/beam_search.py `BeamHypotheses`.
class BeamHypotheses {
 public:
  struct Hypothesis {
    double score = 0;   // The sum of log probabilities / length^length_penalty.
    at::Tensor tokens;  // [tokens] int64.
    std::optional<std::vector<int64_t>> beam_indices;
  };

  // kInvalidArgument for kNever without `max_length`.
  static absl::StatusOr<BeamHypotheses> Create(
      int64_t num_beams, double length_penalty, EarlyStopping early_stopping,
      std::optional<int64_t> max_length = std::nullopt);

  // Keeps a copy of `tokens`, [tokens], if there are fewer than num_beams, or
  // it is better than the worst, which then goes. The length is all of
  // `tokens`, the prompt included.
  void Add(const at::Tensor& tokens, double sum_logprobs,
           std::optional<std::vector<int64_t>> beam_indices = std::nullopt);

  // Whether no running beam can become better than the worst; the best of them
  // has `best_sum_logprobs` with `cur_len` tokens.
  bool IsDone(double best_sum_logprobs, int64_t cur_len) const;

  int64_t size() const { return beams_.size(); }
  // In the order in which they came.
  const std::vector<Hypothesis>& beams() const { return beams_; }
  double worst_score() const { return worst_score_; }

 private:
  BeamHypotheses(int64_t num_beams, double length_penalty,
                 EarlyStopping early_stopping,
                 std::optional<int64_t> max_length)
      : num_beams_(num_beams),
        length_penalty_(length_penalty),
        early_stopping_(early_stopping),
        max_length_(max_length) {}

  int64_t num_beams_;
  double length_penalty_;
  EarlyStopping early_stopping_;
  std::optional<int64_t> max_length_;
  std::vector<Hypothesis> beams_;
  double worst_score_ = 1e9;
};

struct BeamSearchOptions {
  int64_t batch_size = 1;
  int64_t num_beams = 2;
  c10::Device device = c10::Device(c10::kCPU);  // Of sequence_scores.
  double length_penalty = 1.0;  // Above 0 the longer is the better.
  EarlyStopping early_stopping = EarlyStopping::kNo;
  int64_t num_beam_hyps_to_keep = 1;  // Sequences to return for each.
  int64_t num_beam_groups = 1;
  std::optional<int64_t> max_length;  // kNever needs it.
};

// The tokens that a search must know.
struct BeamTokens {
  std::optional<int64_t> pad_token_id;
  std::vector<int64_t> eos_token_ids;  // Any of them ends a hypothesis.
};

// What the next tokens of the running beams are: each [batch * group size].
struct BeamStep {
  at::Tensor next_beam_scores;   // Of next_scores' dtype.
  at::Tensor next_beam_tokens;   // int64
  at::Tensor next_beam_indices;  // int64: the row that each goes on from.
};

// What was found.
struct BeamResult {
  // [batch * num_beam_hyps_to_keep, tokens] int64: the best first. Those that
  // are shorter than the longest end with an end of sequence, if there is one
  // and room for it, and are padded.
  at::Tensor sequences;
  at::Tensor sequence_scores;  // [batch * num_beam_hyps_to_keep] float32
  // As `sequences`, padded with -1; undefined unless beam_indices were given.
  at::Tensor beam_indices;
};

// Keeps the beams of a search: which go on, which are finished, when all is
// done, and which are best.
//
//   absl::StatusOr<BeamSearchScorer> scorer =
//   BeamSearchScorer::Create(options); while (!scorer->is_done()) {
//     // next_*: the best 2 * num_beams continuations of each sequence.
//     absl::StatusOr<BeamStep> step =
//         scorer->Process(ids, next_scores, next_tokens, next_indices, tokens);
//     ids = at::cat({ids.index_select(0, step->next_beam_indices),
//                    step->next_beam_tokens.unsqueeze(-1)}, -1);
//   }
//   scorer->Finalize(ids, step->next_beam_scores, max_length, tokens);
//
// Rows stand sequence by sequence, and within one group by group. Inputs may be
// on any device; results are where their inputs are.
//
// Threads: as a value; one thread at a time.
// Matches: transformers 4.34 generation/beam_search.py `BeamSearchScorer`. As
//     there, lengths include the (decoder's) prompt.
// Differs: without an end of sequence, hypotheses that stop short of max_length
//     are returned as they are; 4.34 fails.
class BeamSearchScorer {
 public:
  // kInvalidArgument unless num_beams > 1 is a multiple of num_beam_groups >=
  // 1, batch_size >= 1, 1 <= num_beam_hyps_to_keep <= num_beams, and kNever has
  // a max_length.
  static absl::StatusOr<BeamSearchScorer> Create(
      const BeamSearchOptions& options);

  // One step of the group `group_index`, of group size g = num_beams /
  // num_beam_groups.
  //   input_ids     [batch * g, tokens] int64: the rows so far
  //   next_scores   [batch, n], n >= 2 g: sums of log probabilities, best first
  //   next_tokens   [batch, n] int64
  //   next_indices  [batch, n] int64: which of its sequence's g rows each goes
  //                 on from
  //   beam_indices  one list for each row, or null
  // kInvalidArgument for other shapes; where fewer than g tokens are no end of
  // sequence; and, for a sequence that is done, without pad and eos ids.
  absl::StatusOr<BeamStep> Process(const at::Tensor& input_ids,
                                   const at::Tensor& next_scores,
                                   const at::Tensor& next_tokens,
                                   const at::Tensor& next_indices,
                                   const BeamTokens& tokens,
                                   const BeamIndices* beam_indices = nullptr,
                                   int64_t group_index = 0);

  // Every sequence is done.
  bool is_done() const;

  // Takes the running beams of unfinished sequences for hypotheses, and returns
  // the best of all.
  //   input_ids          [batch * num_beams, tokens] int64
  //   final_beam_scores  [batch * num_beams]
  //   max_length         how many tokens a sequence may come to with its end
  // kInvalidArgument for other shapes, for a hypothesis longer than max_length,
  // and where padding is needed and there is no pad id.
  absl::StatusOr<BeamResult> Finalize(
      const at::Tensor& input_ids, const at::Tensor& final_beam_scores,
      std::optional<int64_t> max_length, const BeamTokens& tokens,
      const BeamIndices* beam_indices = nullptr);

 private:
  // What one sequence may go on with, and what all rows do go on with.
  struct Candidates {
    absl::Span<const double> scores;
    absl::Span<const int64_t> tokens;
    absl::Span<const int64_t> indices;
  };
  struct Running {
    explicit Running(int64_t size) : scores(size), tokens(size), rows(size) {}

    std::vector<double> scores;
    std::vector<int64_t> tokens;
    std::vector<int64_t> rows;
  };

  BeamSearchScorer(const BeamSearchOptions& options,
                   std::vector<BeamHypotheses> hypotheses)
      : options_(options),
        group_size_(options.num_beams / options.num_beam_groups),
        hypotheses_(std::move(hypotheses)),
        done_(hypotheses_.size(), false) {}

  absl::Status Continue(int64_t sequence, int64_t group_index,
                        const at::Tensor& input_ids,
                        const Candidates& candidates, const BeamTokens& tokens,
                        const BeamIndices* beam_indices, Running& running);
  std::vector<BeamHypotheses::Hypothesis> BestHypotheses() const;
  absl::StatusOr<BeamResult> Decode(
      const std::vector<BeamHypotheses::Hypothesis>& best, c10::Device device,
      std::optional<int64_t> max_length, const BeamTokens& tokens) const;

  BeamSearchOptions options_;
  int64_t group_size_;
  // One for each group of each sequence: [batch, num_beam_groups].
  std::vector<BeamHypotheses> hypotheses_;
  std::vector<bool> done_;
};

}  // namespace pretrained

#endif  // PRETRAINED_GENERATION_BEAM_SEARCH_SCORER_H_
