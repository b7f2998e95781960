#include "generation/logits_warpers.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "ATen/ATen.h"
#include "ATen/Dispatch.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "generation/run_processor.h"

namespace pretrained {
namespace {

template <typename Number>
absl::Status Bad(absl::string_view name, Number found,
                 absl::string_view expected) {
  return absl::InvalidArgumentError(absl::StrCat(
      "'", name, "' is ", found, ", but ", expected, " is expected"));
}

absl::Status CheckKept(int64_t min_tokens_to_keep) {
  if (min_tokens_to_keep >= 1) return absl::OkStatus();
  return Bad("min_tokens_to_keep", min_tokens_to_keep,
             "an integer of at least 1");
}

absl::Status CheckInsideUnit(absl::string_view name, double value,
                             int64_t min_tokens_to_keep) {
  if (!(value > 0 && value < 1)) {
    return Bad(name, value, "a number above 0 and below 1");
  }
  return CheckKept(min_tokens_to_keep);
}

// Of each row the `count`-th best score: [rows, 1].
at::Tensor BestScore(const at::Tensor& scores, int64_t count) {
  count = std::min(count, scores.size(1));
  return std::get<0>(scores.topk(count, /*dim=*/-1)).narrow(-1, count - 1, 1);
}

// Filters scores whose probability is below `cutoff`, but for the best.
template <typename Cutoff>
at::Tensor FilterImprobable(at::Tensor scores, const Cutoff& cutoff,
                            int64_t min_tokens_to_keep, double filter_value) {
  const at::Tensor remove = scores.softmax(-1).lt(cutoff).logical_and_(
      scores.lt(BestScore(scores, min_tokens_to_keep)));
  return scores.masked_fill_(remove, filter_value);
}

double LowestOf(at::ScalarType dtype) {
  double lowest = 0;
  AT_DISPATCH_FLOATING_TYPES_AND2(
      at::kHalf, at::kBFloat16, dtype, "lowest", [&] {
        lowest = static_cast<double>(std::numeric_limits<scalar_t>::lowest());
      });
  return lowest;
}

// Of each row the entropy of its distribution: [rows].
at::Tensor EntropyOf(const at::Tensor& scores) {
  const at::Tensor logits = scores - scores.logsumexp(-1, /*keepdim=*/true);
  // A token that cannot be adds nothing.
  return -(logits.clamp_min(LowestOf(scores.scalar_type())) *
           logits.softmax(-1))
              .sum(-1);
}

}  // namespace

absl::StatusOr<TemperatureLogitsWarper> TemperatureLogitsWarper::Create(
    double temperature) {
  if (!(temperature > 0)) {
    return Bad("temperature", temperature,
               temperature == 0 ? "a number above 0 (to take the best token "
                                  "always, set 'do_sample' to false)"
                                : "a number above 0");
  }
  return TemperatureLogitsWarper(temperature);
}

absl::StatusOr<at::Tensor> TemperatureLogitsWarper::Process(
    const at::Tensor& input_ids, at::Tensor scores) {
  return RunWarper("TemperatureLogitsWarper", scores,
                   [&] { return scores.div_(temperature_); });
}

absl::StatusOr<TopKLogitsWarper> TopKLogitsWarper::Create(
    int64_t top_k, double filter_value, int64_t min_tokens_to_keep) {
  if (top_k <= 0) return Bad("top_k", top_k, "an integer above 0");
  return TopKLogitsWarper(std::max(top_k, min_tokens_to_keep), filter_value);
}

absl::StatusOr<at::Tensor> TopKLogitsWarper::Process(
    const at::Tensor& input_ids, at::Tensor scores) {
  return RunWarper("TopKLogitsWarper", scores, [&] {
    return scores.masked_fill_(scores.lt(BestScore(scores, top_k_)),
                               filter_value_);
  });
}

absl::StatusOr<TopPLogitsWarper> TopPLogitsWarper::Create(
    double top_p, double filter_value, int64_t min_tokens_to_keep) {
  if (!(top_p >= 0 && top_p <= 1)) {
    return Bad("top_p", top_p, "a number from 0 to 1");
  }
  absl::Status status = CheckKept(min_tokens_to_keep);
  if (!status.ok()) return status;
  return TopPLogitsWarper(top_p, filter_value, min_tokens_to_keep);
}

absl::StatusOr<at::Tensor> TopPLogitsWarper::Process(
    const at::Tensor& input_ids, at::Tensor scores) {
  return RunWarper("TopPLogitsWarper", scores, [&] {
    const auto [sorted, order] = scores.sort(/*dim=*/-1, /*descending=*/false);
    const at::Tensor remove = sorted.softmax(-1).cumsum(-1).le(1 - top_p_);
    const int64_t kept = std::min(min_tokens_to_keep_, scores.size(1));
    remove.narrow(-1, scores.size(1) - kept, kept).fill_(false);
    return scores.masked_fill_(remove.scatter(1, order, remove), filter_value_);
  });
}

absl::StatusOr<TypicalLogitsWarper> TypicalLogitsWarper::Create(
    double mass, double filter_value, int64_t min_tokens_to_keep) {
  absl::Status status = CheckInsideUnit("typical_p", mass, min_tokens_to_keep);
  if (!status.ok()) return status;
  return TypicalLogitsWarper(mass, filter_value, min_tokens_to_keep);
}

absl::StatusOr<at::Tensor> TypicalLogitsWarper::Process(
    const at::Tensor& input_ids, at::Tensor scores) {
  return RunWarper("TypicalLogitsWarper", scores, [&] {
    const at::Tensor normalized = scores.log_softmax(-1);
    const at::Tensor entropy =
        -(normalized * normalized.exp()).nansum(-1, /*keepdim=*/true);
    const auto [distance, order] =
        (-normalized - entropy).abs().sort(/*dim=*/-1, /*descending=*/false);
    const at::Tensor last = scores.gather(-1, order)
                                .softmax(-1)
                                .cumsum(-1)
                                .lt(mass_)
                                .sum(1, /*keepdim=*/true)
                                .clamp_max(scores.size(1) - 1);
    const at::Tensor remove = distance.gt(distance.gather(1, last));
    const int64_t kept = std::min(min_tokens_to_keep_, scores.size(1));
    remove.narrow(-1, 0, kept).fill_(false);
    return scores.masked_fill_(remove.scatter(1, order, remove), filter_value_);
  });
}

absl::StatusOr<EpsilonLogitsWarper> EpsilonLogitsWarper::Create(
    double epsilon, double filter_value, int64_t min_tokens_to_keep) {
  absl::Status status =
      CheckInsideUnit("epsilon_cutoff", epsilon, min_tokens_to_keep);
  if (!status.ok()) return status;
  return EpsilonLogitsWarper(epsilon, filter_value, min_tokens_to_keep);
}

absl::StatusOr<at::Tensor> EpsilonLogitsWarper::Process(
    const at::Tensor& input_ids, at::Tensor scores) {
  return RunWarper("EpsilonLogitsWarper", scores, [&] {
    return FilterImprobable(scores, epsilon_, min_tokens_to_keep_,
                            filter_value_);
  });
}

absl::StatusOr<EtaLogitsWarper> EtaLogitsWarper::Create(
    double epsilon, double filter_value, int64_t min_tokens_to_keep) {
  absl::Status status =
      CheckInsideUnit("eta_cutoff", epsilon, min_tokens_to_keep);
  if (!status.ok()) return status;
  return EtaLogitsWarper(epsilon, filter_value, min_tokens_to_keep);
}

absl::StatusOr<at::Tensor> EtaLogitsWarper::Process(const at::Tensor& input_ids,
                                                    at::Tensor scores) {
  return RunWarper("EtaLogitsWarper", scores, [&] {
    // In float32, as the peer holds it.
    const float epsilon = static_cast<float>(epsilon_);
    const at::Tensor eta = (EntropyOf(scores).neg_().exp_() *
                            static_cast<double>(std::sqrt(epsilon)))
                               .clamp_max_(static_cast<double>(epsilon))
                               .unsqueeze(-1);
    return FilterImprobable(scores, eta, min_tokens_to_keep_, filter_value_);
  });
}

absl::StatusOr<at::Tensor> LogitNormalization::Process(
    const at::Tensor& input_ids, at::Tensor scores) {
  return RunWarper("LogitNormalization", scores,
                   [&] { return scores.log_softmax(-1); });
}

}  // namespace pretrained
