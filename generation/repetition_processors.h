#ifndef PRETRAINED_GENERATION_REPETITION_PROCESSORS_H_
#define PRETRAINED_GENERATION_REPETITION_PROCESSORS_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "generation/logits_processor.h"

// What keeps a text from repeating itself, or its source.
//
// Matches: the classes of the same name in transformers 4.34
//     generation/logits_process.py.
namespace pretrained {

// Makes what a row holds already less likely: scores below 0 are multiplied by
// `penalty`, others divided by it, once however often a token occurs. Token ids
// of the row that are outside the vocabulary are kInvalidArgument.
class RepetitionPenaltyLogitsProcessor : public LogitsProcessor {
 public:
  // kInvalidArgument unless penalty > 0.
  static absl::StatusOr<RepetitionPenaltyLogitsProcessor> Create(
      double penalty);

  absl::StatusOr<at::Tensor> Process(const at::Tensor& input_ids,
                                     at::Tensor scores) override;

 private:
  explicit RepetitionPenaltyLogitsProcessor(double penalty)
      : penalty_(penalty) {}

  double penalty_;
};

// Makes what the source holds more likely, for a penalty above 1. As in 4.34,
// row i of the source is for row i of the scores, and scores that have more
// rows (beams) stay as they are there.
class EncoderRepetitionPenaltyLogitsProcessor : public LogitsProcessor {
 public:
  //   encoder_input_ids  [batch, source tokens] int64
  // kInvalidArgument unless penalty > 0, and the ids are of that shape.
  static absl::StatusOr<EncoderRepetitionPenaltyLogitsProcessor> Create(
      double penalty, at::Tensor encoder_input_ids);

  absl::StatusOr<at::Tensor> Process(const at::Tensor& input_ids,
                                     at::Tensor scores) override;

 private:
  EncoderRepetitionPenaltyLogitsProcessor(double penalty,
                                          at::Tensor encoder_input_ids)
      : penalty_(penalty), encoder_input_ids_(std::move(encoder_input_ids)) {}

  double penalty_;
  at::Tensor encoder_input_ids_;
};

// Lets no run of `ngram_size` tokens occur twice in a row: its last token's
// score becomes -inf.
// Cost: one pass over the row.
class NoRepeatNGramLogitsProcessor : public LogitsProcessor {
 public:
  // kInvalidArgument unless ngram_size > 0.
  static absl::StatusOr<NoRepeatNGramLogitsProcessor> Create(
      int64_t ngram_size);

  absl::StatusOr<at::Tensor> Process(const at::Tensor& input_ids,
                                     at::Tensor scores) override;

 private:
  explicit NoRepeatNGramLogitsProcessor(int64_t ngram_size)
      : ngram_size_(ngram_size) {}

  int64_t ngram_size_;
};

// Lets no run of `ngram_size` tokens of the source occur in a row. Scores may
// have several rows (beams) to each of the source.
class EncoderNoRepeatNGramLogitsProcessor : public LogitsProcessor {
 public:
  //   encoder_input_ids  [batch, source tokens] or [source tokens], int64
  // kInvalidArgument unless encoder_ngram_size > 0, and the ids are of that
  // shape.
  static absl::StatusOr<EncoderNoRepeatNGramLogitsProcessor> Create(
      int64_t encoder_ngram_size, const at::Tensor& encoder_input_ids);

  absl::StatusOr<at::Tensor> Process(const at::Tensor& input_ids,
                                     at::Tensor scores) override;

 private:
  EncoderNoRepeatNGramLogitsProcessor(int64_t ngram_size,
                                      std::vector<std::vector<int64_t>> sources)
      : ngram_size_(ngram_size), sources_(std::move(sources)) {}

  int64_t ngram_size_;
  std::vector<std::vector<int64_t>> sources_;
};

}  // namespace pretrained

#endif  // PRETRAINED_GENERATION_REPETITION_PROCESSORS_H_
