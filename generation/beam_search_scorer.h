#ifndef PRETRAINED_GENERATION_BEAM_SEARCH_SCORER_H_
#define PRETRAINED_GENERATION_BEAM_SEARCH_SCORER_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace pretrained {

// When a prompt's search is over, once it has as many ended texts as beams.
enum class EarlyStopping {
  kNo,     // When none of the others is likely to become better.
  kYes,    // At once.
  kNever,  // When none of the others can become better.
};

struct BeamSearchOptions {
  int64_t batch_size = 1;
  int64_t num_beams = 2;
  int64_t num_beam_groups = 1;
  int64_t num_beam_hyps_to_keep = 1;  // Texts to give for each prompt.
  double length_penalty = 1.0;  // Power of a text's length that divides scores.
  EarlyStopping early_stopping = EarlyStopping::kNo;
  int64_t max_length = 20;
  std::optional<int64_t> pad_token_id;
  std::vector<int64_t> eos_token_ids;
};

// How each of the rows of one group of beams goes on. [batch * group size].
struct NextBeams {
  at::Tensor scores;   // Of float32.
  at::Tensor tokens;   // Of int64.
  at::Tensor indices;  // The row, of this group's, that it goes on from.
};

// The texts that a search found.
struct FoundTexts {
  at::Tensor sequences;  // [batch * kept, tokens] of int64, the best first.
  at::Tensor scores;     // [batch * kept] of float32.
  at::Tensor
      beam_indices;  // [batch * kept, tokens], -1 after the end; if kept.
};

// Keeps, for each prompt and group of beams, the best texts that have ended.
// Matches: transformers 4.34 generation/beam_search.py `BeamSearchScorer`,
//     `BeamHypotheses`.
class BeamSearchScorer {
 public:
  explicit BeamSearchScorer(const BeamSearchOptions& options);

  // Takes candidates, the best first, and says which of them go on.
  //   input_ids  [batch * group size, tokens], the group's texts
  //   scores     [batch, candidates]; likewise `tokens`, and `indices`, the
  //              beam of the prompt's group that each goes on from
  //   trails     where each row's tokens came from; null for not kept
  absl::StatusOr<NextBeams> Process(
      const at::Tensor& input_ids, const at::Tensor& scores,
      const at::Tensor& tokens, const at::Tensor& indices, int64_t group = 0,
      const std::vector<std::vector<int64_t>>* trails = nullptr);

  // Whether every prompt's search is over.
  bool is_done() const;

  // Ends it: the best texts, padded.
  //   input_ids, scores  [batch * num_beams, tokens], [batch * num_beams]
  absl::StatusOr<FoundTexts> Finalize(
      const at::Tensor& input_ids, const at::Tensor& scores,
      const std::vector<std::vector<int64_t>>* trails = nullptr);

 private:
  struct Text {
    double score;
    std::vector<int64_t> ids;
    std::vector<int64_t> trail;
  };
  struct Hypotheses {
    std::vector<Text> texts;
    double worst_score = 1e9;
    bool is_done = false;
  };

  void Add(Hypotheses& hypotheses, const at::Tensor& ids, double sum,
           std::vector<int64_t> trail) const;
  bool IsDone(const Hypotheses& hypotheses, double best_sum,
              int64_t length) const;
  bool IsEos(int64_t token) const;
  // The `num_beam_hyps_to_keep` best of prompt `row`, the best first.
  std::vector<const Text*> Best(int64_t row) const;

  const BeamSearchOptions options_;
  const int64_t group_size_;
  std::vector<Hypotheses> hypotheses_;  // [batch * groups]
};

}  // namespace pretrained

#endif  // PRETRAINED_GENERATION_BEAM_SEARCH_SCORER_H_
