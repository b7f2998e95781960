#ifndef PRETRAINED_GENERATION_SEQUENCE_BIAS_PROCESSORS_H_
#define PRETRAINED_GENERATION_SEQUENCE_BIAS_PROCESSORS_H_

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "generation/logits_processor.h"

// What favours given sequences of tokens, or forbids them.
//
// Matches: the classes of the same name in transformers 4.34
//     generation/logits_process.py.
// Differs: a sequence with a token outside the vocabulary never matches; 4.34
//     fails at the first call.
namespace pretrained {

// A bias for each sequence of tokens.
using SequenceBias = std::map<std::vector<int64_t>, double>;

// Adds its bias to the score of a sequence's last token where the row ends with
// the tokens before it. A sequence of one is biased everywhere; one longer than
// the row, nowhere.
class SequenceBiasLogitsProcessor : public LogitsProcessor {
 public:
  // kInvalidArgument for no bias at all, an empty sequence or a negative id.
  static absl::StatusOr<SequenceBiasLogitsProcessor> Create(SequenceBias bias);

  absl::StatusOr<at::Tensor> Process(const at::Tensor& input_ids,
                                     at::Tensor scores) override;

 protected:
  explicit SequenceBiasLogitsProcessor(SequenceBias bias)
      : bias_(std::move(bias)) {}

 private:
  void PrepareSingles(const at::Tensor& scores);

  SequenceBias bias_;
  at::Tensor singles_;  // [vocabulary]: of sequences of one; made when the
                        // vocabulary is seen.
};

// Forbids sequences: their bias is -inf. Those that are one of `eos_token_ids`
// alone are left out.
class NoBadWordsLogitsProcessor : public SequenceBiasLogitsProcessor {
 public:
  // kInvalidArgument for no word at all, an empty one, or a negative id. Where
  // each is an end of sequence, nothing is forbidden.
  static absl::StatusOr<NoBadWordsLogitsProcessor> Create(
      const std::vector<std::vector<int64_t>>& bad_words_ids,
      const std::vector<int64_t>& eos_token_ids);

 private:
  explicit NoBadWordsLogitsProcessor(SequenceBias bias)
      : SequenceBiasLogitsProcessor(std::move(bias)) {}
};

}  // namespace pretrained

#endif  // PRETRAINED_GENERATION_SEQUENCE_BIAS_PROCESSORS_H_
