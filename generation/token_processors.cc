#include "generation/token_processors.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "generation/run_processor.h"

namespace pretrained {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

absl::Status CheckNotNegative(const char* name, int64_t value) {
  if (value >= 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "'", name, "' is ", value, ", but an integer of at least 0 is expected"));
}

at::Tensor Forbid(at::Tensor scores, const std::vector<int64_t>& ids) {
  return scores.index_fill_(1, IdsWithin(ids, scores.size(1), scores),
                            -kInfinity);
}

at::Tensor Force(at::Tensor scores, const std::vector<int64_t>& ids) {
  const at::Tensor within = IdsWithin(ids, scores.size(1), scores);
  if (within.numel() == 0) return scores;
  return scores.fill_(-kInfinity).index_fill_(1, within, 0);
}

}  // namespace

absl::StatusOr<MinLengthLogitsProcessor> MinLengthLogitsProcessor::Create(
    int64_t min_length, std::vector<int64_t> eos_token_ids) {
  absl::Status status = CheckNotNegative("min_length", min_length);
  if (!status.ok()) return status;
  return MinLengthLogitsProcessor(min_length, std::move(eos_token_ids));
}

absl::StatusOr<at::Tensor> MinLengthLogitsProcessor::Process(
    const at::Tensor& input_ids, at::Tensor scores) {
  return RunProcessor("MinLengthLogitsProcessor", input_ids, scores, [&] {
    return input_ids.size(1) < min_length_ ? Forbid(scores, eos_token_ids_)
                                           : scores;
  });
}

absl::StatusOr<MinNewTokensLengthLogitsProcessor>
MinNewTokensLengthLogitsProcessor::Create(int64_t prompt_length_to_skip,
                                          int64_t min_new_tokens,
                                          std::vector<int64_t> eos_token_ids) {
  absl::Status status =
      CheckNotNegative("prompt_length_to_skip", prompt_length_to_skip);
  if (status.ok()) status = CheckNotNegative("min_new_tokens", min_new_tokens);
  if (!status.ok()) return status;
  return MinNewTokensLengthLogitsProcessor(
      prompt_length_to_skip, min_new_tokens, std::move(eos_token_ids));
}

absl::StatusOr<at::Tensor> MinNewTokensLengthLogitsProcessor::Process(
    const at::Tensor& input_ids, at::Tensor scores) {
  return RunProcessor(
      "MinNewTokensLengthLogitsProcessor", input_ids, scores, [&] {
        const int64_t new_tokens = input_ids.size(1) - prompt_length_to_skip_;
        return new_tokens < min_new_tokens_ ? Forbid(scores, eos_token_ids_)
                                            : scores;
      });
}

absl::StatusOr<at::Tensor> ForcedBOSTokenLogitsProcessor::Process(
    const at::Tensor& input_ids, at::Tensor scores) {
  return RunProcessor("ForcedBOSTokenLogitsProcessor", input_ids, scores, [&] {
    return input_ids.size(1) == 1 ? Force(scores, {bos_token_id_}) : scores;
  });
}

absl::StatusOr<at::Tensor> ForcedEOSTokenLogitsProcessor::Process(
    const at::Tensor& input_ids, at::Tensor scores) {
  return RunProcessor("ForcedEOSTokenLogitsProcessor", input_ids, scores, [&] {
    return input_ids.size(1) == max_length_ - 1 ? Force(scores, eos_token_ids_)
                                                : scores;
  });
}

absl::StatusOr<at::Tensor> ExponentialDecayLengthPenalty::Process(
    const at::Tensor& input_ids, at::Tensor scores) {
  return RunProcessor("ExponentialDecayLengthPenalty", input_ids, scores, [&] {
    const int64_t tokens_more = input_ids.size(1) - regulation_start_;
    if (tokens_more <= 0) return scores;
    const double factor =
        std::pow(regulation_factor_, static_cast<double>(tokens_more)) - 1;
    for (const int64_t id : eos_token_ids_) {
      if (id < 0 || id >= scores.size(1)) continue;
      const at::Tensor score = scores.select(1, id);
      score.add_(score.abs() * factor);
    }
    return scores;
  });
}

absl::StatusOr<at::Tensor> InfNanRemoveLogitsProcessor::Process(
    const at::Tensor& input_ids, at::Tensor scores) {
  return RunWarper("InfNanRemoveLogitsProcessor", scores, [&] {
    // std::nullopt is the dtype's largest.
    return scores.nan_to_num_(/*nan=*/0.0, /*posinf=*/std::nullopt,
                              /*neginf=*/-kInfinity);
  });
}

absl::StatusOr<at::Tensor> SuppressTokensLogitsProcessor::Process(
    const at::Tensor& input_ids, at::Tensor scores) {
  return RunWarper("SuppressTokensLogitsProcessor", scores,
                   [&] { return Forbid(scores, suppress_tokens_); });
}

absl::StatusOr<at::Tensor> SuppressTokensAtBeginLogitsProcessor::Process(
    const at::Tensor& input_ids, at::Tensor scores) {
  return RunProcessor("SuppressTokensAtBeginLogitsProcessor", input_ids, scores,
                      [&] {
                        return input_ids.size(1) == begin_index_
                                   ? Forbid(scores, begin_suppress_tokens_)
                                   : scores;
                      });
}

absl::StatusOr<at::Tensor> ForceTokensLogitsProcessor::Process(
    const at::Tensor& input_ids, at::Tensor scores) {
  return RunProcessor("ForceTokensLogitsProcessor", input_ids, scores, [&] {
    const auto forced = force_token_map_.find(input_ids.size(1));
    return forced == force_token_map_.end() ? scores
                                            : Force(scores, {forced->second});
  });
}

}  // namespace pretrained
