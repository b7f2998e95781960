#include <cstdint>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "generation/beam_search_scorer.h"
#include "generation/search.h"

namespace pretrained {
namespace {

// Beams of a prompt that stand on no text of their own yet are as good as none.
constexpr double kNoBeam = -1e9;

// Candidates for the next token of each prompt's beams, the best ones first.
struct Candidates {
  at::Tensor scores;  // [batch, candidates]
  at::Tensor tokens;
  at::Tensor beams;  // Which beam of the prompt's each goes on from.
};

// One beam search, step by step. Rows: batch * num_beams, a prompt's in a row.
class BeamSearch {
 public:
  BeamSearch(const SearchOptions& options, DecodingState& state, int64_t batch)
      : options_(options),
        settings_(options.settings),
        state_(state),
        batch_(batch),
        groups_(settings_.mode == GenerationMode::kBeamGroups
                    ? settings_.num_beam_groups
                    : 1),
        group_size_(settings_.num_beams / groups_) {}

  absl::Status Run(GenerateOutput& output);

 private:
  int64_t rows() const { return batch_ * settings_.num_beams; }
  // Rows of group `group`, [batch * group_size].
  at::Tensor RowsOfGroup(int64_t group) const;
  // Chooses the next tokens and puts them in `tokens_`, and the rows that they
  // go on from in `from_`. Returns the processed scores.
  absl::StatusOr<at::Tensor> Choose(const at::Tensor& logits);
  absl::StatusOr<at::Tensor> ChooseInGroup(const at::Tensor& logits,
                                           int64_t group);
  // Of scores [batch * group_size, vocabulary].
  Candidates Best(const at::Tensor& scores) const;
  Candidates Drawn(const at::Tensor& scores) const;

  const SearchOptions& options_;
  const GenerationSettings& settings_;
  DecodingState& state_;
  const int64_t batch_;
  const int64_t groups_;
  const int64_t group_size_;
  std::vector<BeamSearchScorer> scorer_;
  at::Tensor beam_scores_;  // [rows] of float32
  at::Tensor tokens_;       // [rows]
  at::Tensor from_;         // [rows]
};

}  // namespace
}  // namespace pretrained
