#ifndef PRETRAINED_GENERATION_BEAM_PROCESSORS_H_
#define PRETRAINED_GENERATION_BEAM_PROCESSORS_H_

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "generation/logits_processor.h"

// What needs to know which rows are beams of one sequence.
//
// Matches: the classes of the same name in transformers 4.34
//     generation/logits_process.py.
namespace pretrained {

// Takes `diversity_penalty` from a token's score for each beam of an earlier
// group that chose it in this step. Process() without a group is
// kFailedPrecondition.
class HammingDiversityLogitsProcessor : public LogitsProcessor {
 public:
  // kInvalidArgument unless diversity_penalty > 0 and
  // 2 <= num_beam_groups <= num_beams.
  static absl::StatusOr<HammingDiversityLogitsProcessor> Create(
      double diversity_penalty, int64_t num_beams, int64_t num_beam_groups);

  absl::StatusOr<at::Tensor> Process(const at::Tensor& input_ids,
                                     at::Tensor scores) override;
  // kInvalidArgument also unless `current_tokens` has num_beams tokens to each
  // batch row, and those of earlier groups are in the vocabulary.
  absl::StatusOr<at::Tensor> ProcessGroup(const at::Tensor& input_ids,
                                          at::Tensor scores,
                                          const BeamGroup& group) override;

 private:
  HammingDiversityLogitsProcessor(double diversity_penalty, int64_t num_beams,
                                  int64_t group_size)
      : diversity_penalty_(diversity_penalty),
        num_beams_(num_beams),
        group_size_(group_size) {}

  double diversity_penalty_;
  int64_t num_beams_;
  int64_t group_size_;
};

// Which tokens may follow `sentence`, [tokens] int64, a beam of batch row
// `batch_id`. An error ends the processing.
using PrefixAllowedTokens = std::function<absl::StatusOr<std::vector<int64_t>>(
    int64_t batch_id, const at::Tensor& sentence)>;

// Lets each row go on only as a callback allows; all other scores are -inf.
class PrefixConstrainedLogitsProcessor : public LogitsProcessor {
 public:
  // Each `num_beams` rows are of one batch row. kInvalidArgument unless
  // num_beams > 0 and there is a callback.
  static absl::StatusOr<PrefixConstrainedLogitsProcessor> Create(
      PrefixAllowedTokens prefix_allowed_tokens, int64_t num_beams);

  absl::StatusOr<at::Tensor> Process(const at::Tensor& input_ids,
                                     at::Tensor scores) override;

 private:
  PrefixConstrainedLogitsProcessor(PrefixAllowedTokens prefix_allowed_tokens,
                                   int64_t num_beams)
      : prefix_allowed_tokens_(std::move(prefix_allowed_tokens)),
        num_beams_(num_beams) {}

  PrefixAllowedTokens prefix_allowed_tokens_;
  int64_t num_beams_;
};

}  // namespace pretrained

#endif  // PRETRAINED_GENERATION_BEAM_PROCESSORS_H_
