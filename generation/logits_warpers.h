#ifndef PRETRAINED_GENERATION_LOGITS_WARPERS_H_
#define PRETRAINED_GENERATION_LOGITS_WARPERS_H_

#include <cstdint>
#include <limits>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "generation/logits_processor.h"

// What reshapes a distribution before a token is drawn from it. None looks at
// `input_ids`, which may be undefined. Those that filter set the scores of what
// they take away to `filter_value`, and leave each row the `min_tokens_to_keep`
// best.
//
// Matches: the classes of the same name in transformers 4.34
//     generation/logits_process.py.
// Differs: integers pass for floats.
namespace pretrained {

inline constexpr double kFilteredScore =
    -std::numeric_limits<double>::infinity();

// Divides by `temperature`: below 1 the likely becomes likelier.
class TemperatureLogitsWarper : public LogitsProcessor {
 public:
  // kInvalidArgument unless temperature > 0.
  static absl::StatusOr<TemperatureLogitsWarper> Create(double temperature);

  absl::StatusOr<at::Tensor> Process(const at::Tensor& input_ids,
                                     at::Tensor scores) override;

 private:
  explicit TemperatureLogitsWarper(double temperature)
      : temperature_(temperature) {}

  double temperature_;
};

// Keeps the `top_k` best, and what ties with the last of them.
class TopKLogitsWarper : public LogitsProcessor {
 public:
  // kInvalidArgument unless top_k > 0.
  static absl::StatusOr<TopKLogitsWarper> Create(
      int64_t top_k, double filter_value = kFilteredScore,
      int64_t min_tokens_to_keep = 1);

  absl::StatusOr<at::Tensor> Process(const at::Tensor& input_ids,
                                     at::Tensor scores) override;

 private:
  TopKLogitsWarper(int64_t top_k, double filter_value)
      : top_k_(top_k), filter_value_(filter_value) {}

  int64_t top_k_;
  double filter_value_;
};

// Keeps the fewest best whose probabilities add up to `top_p`.
class TopPLogitsWarper : public LogitsProcessor {
 public:
  // kInvalidArgument unless 0 <= top_p <= 1 and min_tokens_to_keep >= 1.
  static absl::StatusOr<TopPLogitsWarper> Create(
      double top_p, double filter_value = kFilteredScore,
      int64_t min_tokens_to_keep = 1);

  absl::StatusOr<at::Tensor> Process(const at::Tensor& input_ids,
                                     at::Tensor scores) override;

 private:
  TopPLogitsWarper(double top_p, double filter_value,
                   int64_t min_tokens_to_keep)
      : top_p_(top_p),
        filter_value_(filter_value),
        min_tokens_to_keep_(min_tokens_to_keep) {}

  double top_p_;
  double filter_value_;
  int64_t min_tokens_to_keep_;
};

// Keeps those whose surprise is nearest to the entropy, up to a probability of
// `mass` in all.
// Differs: where rounding keeps the sum of all below `mass`, all are kept; 4.34
//     fails.
class TypicalLogitsWarper : public LogitsProcessor {
 public:
  // kInvalidArgument unless 0 < mass < 1 and min_tokens_to_keep >= 1.
  static absl::StatusOr<TypicalLogitsWarper> Create(
      double mass = 0.9, double filter_value = kFilteredScore,
      int64_t min_tokens_to_keep = 1);

  absl::StatusOr<at::Tensor> Process(const at::Tensor& input_ids,
                                     at::Tensor scores) override;

 private:
  TypicalLogitsWarper(double mass, double filter_value,
                      int64_t min_tokens_to_keep)
      : mass_(mass),
        filter_value_(filter_value),
        min_tokens_to_keep_(min_tokens_to_keep) {}

  double mass_;
  double filter_value_;
  int64_t min_tokens_to_keep_;
};

// Takes away what is less probable than `epsilon`.
class EpsilonLogitsWarper : public LogitsProcessor {
 public:
  // kInvalidArgument unless 0 < epsilon < 1 and min_tokens_to_keep >= 1.
  static absl::StatusOr<EpsilonLogitsWarper> Create(
      double epsilon, double filter_value = kFilteredScore,
      int64_t min_tokens_to_keep = 1);

  absl::StatusOr<at::Tensor> Process(const at::Tensor& input_ids,
                                     at::Tensor scores) override;

 private:
  EpsilonLogitsWarper(double epsilon, double filter_value,
                      int64_t min_tokens_to_keep)
      : epsilon_(epsilon),
        filter_value_(filter_value),
        min_tokens_to_keep_(min_tokens_to_keep) {}

  double epsilon_;
  double filter_value_;
  int64_t min_tokens_to_keep_;
};

// Takes away what is less probable than the smaller of `epsilon` and
// sqrt(epsilon) exp(-entropy).
// Differs: scores that are not numbers flow through; 4.34 refuses them.
class EtaLogitsWarper : public LogitsProcessor {
 public:
  // kInvalidArgument unless 0 < epsilon < 1 and min_tokens_to_keep >= 1.
  static absl::StatusOr<EtaLogitsWarper> Create(
      double epsilon, double filter_value = kFilteredScore,
      int64_t min_tokens_to_keep = 1);

  absl::StatusOr<at::Tensor> Process(const at::Tensor& input_ids,
                                     at::Tensor scores) override;

 private:
  EtaLogitsWarper(double epsilon, double filter_value,
                  int64_t min_tokens_to_keep)
      : epsilon_(epsilon),
        filter_value_(filter_value),
        min_tokens_to_keep_(min_tokens_to_keep) {}

  double epsilon_;
  double filter_value_;
  int64_t min_tokens_to_keep_;
};

// Log probabilities: of each row, log_softmax.
class LogitNormalization : public LogitsProcessor {
 public:
  absl::StatusOr<at::Tensor> Process(const at::Tensor& input_ids,
                                     at::Tensor scores) override;
};

}  // namespace pretrained

#endif  // PRETRAINED_GENERATION_LOGITS_WARPERS_H_
