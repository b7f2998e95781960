#ifndef PRETRAINED_GENERATION_TOKEN_PROCESSORS_H_
#define PRETRAINED_GENERATION_TOKEN_PROCESSORS_H_

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "generation/logits_processor.h"

// What forces, forbids or favours single tokens by how long the rows are.
//
// Matches: the classes of the same name in transformers 4.34
//     generation/logits_process.py.
// Differs: a negative id is no token; 4.34 counts it from the vocabulary's end.
//     Where no forced token is in the vocabulary, nothing is forced; 4.34
//     fails.
namespace pretrained {

// No end of sequence before rows have `min_length` tokens.
class MinLengthLogitsProcessor : public LogitsProcessor {
 public:
  // kInvalidArgument if min_length < 0.
  static absl::StatusOr<MinLengthLogitsProcessor> Create(
      int64_t min_length, std::vector<int64_t> eos_token_ids);

  absl::StatusOr<at::Tensor> Process(const at::Tensor& input_ids,
                                     at::Tensor scores) override;

 private:
  MinLengthLogitsProcessor(int64_t min_length,
                           std::vector<int64_t> eos_token_ids)
      : min_length_(min_length), eos_token_ids_(std::move(eos_token_ids)) {}

  int64_t min_length_;
  std::vector<int64_t> eos_token_ids_;
};

// The same, not counting the first `prompt_length_to_skip` tokens.
class MinNewTokensLengthLogitsProcessor : public LogitsProcessor {
 public:
  // kInvalidArgument if one of the numbers is below 0.
  static absl::StatusOr<MinNewTokensLengthLogitsProcessor> Create(
      int64_t prompt_length_to_skip, int64_t min_new_tokens,
      std::vector<int64_t> eos_token_ids);

  absl::StatusOr<at::Tensor> Process(const at::Tensor& input_ids,
                                     at::Tensor scores) override;

 private:
  MinNewTokensLengthLogitsProcessor(int64_t prompt_length_to_skip,
                                    int64_t min_new_tokens,
                                    std::vector<int64_t> eos_token_ids)
      : prompt_length_to_skip_(prompt_length_to_skip),
        min_new_tokens_(min_new_tokens),
        eos_token_ids_(std::move(eos_token_ids)) {}

  int64_t prompt_length_to_skip_;
  int64_t min_new_tokens_;
  std::vector<int64_t> eos_token_ids_;
};

// `bos_token_id` is the only token after the first: its score is 0, all others
// -inf.
class ForcedBOSTokenLogitsProcessor : public LogitsProcessor {
 public:
  explicit ForcedBOSTokenLogitsProcessor(int64_t bos_token_id)
      : bos_token_id_(bos_token_id) {}

  absl::StatusOr<at::Tensor> Process(const at::Tensor& input_ids,
                                     at::Tensor scores) override;

 private:
  int64_t bos_token_id_;
};

// `eos_token_ids` are the only tokens at position `max_length` - 1.
class ForcedEOSTokenLogitsProcessor : public LogitsProcessor {
 public:
  ForcedEOSTokenLogitsProcessor(int64_t max_length,
                                std::vector<int64_t> eos_token_ids)
      : max_length_(max_length), eos_token_ids_(std::move(eos_token_ids)) {}

  absl::StatusOr<at::Tensor> Process(const at::Tensor& input_ids,
                                     at::Tensor scores) override;

 private:
  int64_t max_length_;
  std::vector<int64_t> eos_token_ids_;
};

// Once a row is longer than `start` tokens after its first
// `input_ids_seq_length`, makes an end ever likelier: with n tokens more,
// |score| (factor^n - 1) is added to it. As in 4.34 that makes NaN of -inf, for
// which InfNanRemoveLogitsProcessor comes too early in a config's order.
class ExponentialDecayLengthPenalty : public LogitsProcessor {
 public:
  ExponentialDecayLengthPenalty(int64_t start, double factor,
                                std::vector<int64_t> eos_token_ids,
                                int64_t input_ids_seq_length)
      : regulation_start_(start + input_ids_seq_length),
        regulation_factor_(factor),
        eos_token_ids_(std::move(eos_token_ids)) {}

  absl::StatusOr<at::Tensor> Process(const at::Tensor& input_ids,
                                     at::Tensor scores) override;

 private:
  int64_t regulation_start_;
  double regulation_factor_;
  std::vector<int64_t> eos_token_ids_;
};

// 0 for what is not a number, the dtype's largest for +inf. -inf stays.
class InfNanRemoveLogitsProcessor : public LogitsProcessor {
 public:
  absl::StatusOr<at::Tensor> Process(const at::Tensor& input_ids,
                                     at::Tensor scores) override;
};

// Never any of these: -inf.
class SuppressTokensLogitsProcessor : public LogitsProcessor {
 public:
  explicit SuppressTokensLogitsProcessor(std::vector<int64_t> suppress_tokens)
      : suppress_tokens_(std::move(suppress_tokens)) {}

  absl::StatusOr<at::Tensor> Process(const at::Tensor& input_ids,
                                     at::Tensor scores) override;

 private:
  std::vector<int64_t> suppress_tokens_;
};

// None of these at position `begin_index`.
class SuppressTokensAtBeginLogitsProcessor : public LogitsProcessor {
 public:
  SuppressTokensAtBeginLogitsProcessor(
      std::vector<int64_t> begin_suppress_tokens, int64_t begin_index)
      : begin_suppress_tokens_(std::move(begin_suppress_tokens)),
        begin_index_(begin_index) {}

  absl::StatusOr<at::Tensor> Process(const at::Tensor& input_ids,
                                     at::Tensor scores) override;

 private:
  std::vector<int64_t> begin_suppress_tokens_;
  int64_t begin_index_;
};

// At each position that `force_token_map` knows, its token alone: score 0, all
// others -inf.
class ForceTokensLogitsProcessor : public LogitsProcessor {
 public:
  explicit ForceTokensLogitsProcessor(
      std::map<int64_t, int64_t> force_token_map)
      : force_token_map_(std::move(force_token_map)) {}

  absl::StatusOr<at::Tensor> Process(const at::Tensor& input_ids,
                                     at::Tensor scores) override;

 private:
  std::map<int64_t, int64_t> force_token_map_;  // Position to token.
};

}  // namespace pretrained

#endif  // PRETRAINED_GENERATION_TOKEN_PROCESSORS_H_
