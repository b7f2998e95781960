#include "generation/repetition_processors.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "generation/run_processor.h"
#include "modeling/catch_torch.h"

namespace pretrained {
namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();

absl::Status CheckPenalty(double penalty) {
  if (penalty > 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "'penalty' is ", penalty, ", but a number above 0 is expected"));
}

absl::Status CheckNGramSize(const char* name, int64_t ngram_size) {
  if (ngram_size > 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "'", name, "' is ", ngram_size, ", but an integer above 0 is expected"));
}

absl::Status CheckSource(const at::Tensor& ids, int64_t min_dim) {
  if (ids.defined() && ids.scalar_type() == at::kLong && ids.dim() <= 2 &&
      ids.dim() >= min_dim && ids.numel() > 0) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      "encoder_input_ids are expected to be int64 [batch, source tokens], and "
      "not empty");
}

// Multiplies scores at `ids`, [rows or fewer, n], by `penalty` where they are
// below 0, and divides them by it elsewhere.
at::Tensor Penalize(at::Tensor scores, const at::Tensor& ids, double penalty) {
  const at::Tensor at_ids = scores.gather(1, ids);
  return scores.scatter_(
      1, ids, at::where(at_ids.lt(0), at_ids * penalty, at_ids / penalty));
}

// The rows of `ids`, [rows, tokens].
std::vector<std::vector<int64_t>> RowsOf(const at::Tensor& ids) {
  const at::Tensor here = ids.to(at::kCPU).contiguous();
  const int64_t* next = here.const_data_ptr<int64_t>();
  std::vector<std::vector<int64_t>> rows(here.size(0));
  for (std::vector<int64_t>& row : rows) {
    row.assign(next, next + here.size(1));
    next += here.size(1);
  }
  return rows;
}

// Tokens that are not to come next, each with its row.
struct Banned {
  std::vector<int64_t> rows;
  std::vector<int64_t> ids;

  // Whatever follows `prefix` somewhere in `text`.
  void AddFollowers(int64_t row, absl::Span<const int64_t> text,
                    absl::Span<const int64_t> prefix) {
    for (size_t begin = 0; begin + prefix.size() < text.size(); ++begin) {
      if (!std::equal(prefix.begin(), prefix.end(), text.begin() + begin)) {
        continue;
      }
      rows.push_back(row);
      ids.push_back(text[begin + prefix.size()]);
    }
  }
};

}  // namespace

absl::StatusOr<RepetitionPenaltyLogitsProcessor>
RepetitionPenaltyLogitsProcessor::Create(double penalty) {
  absl::Status status = CheckPenalty(penalty);
  if (!status.ok()) return status;
  return RepetitionPenaltyLogitsProcessor(penalty);
}

absl::StatusOr<at::Tensor> RepetitionPenaltyLogitsProcessor::Process(
    const at::Tensor& input_ids, at::Tensor scores) {
  return RunProcessor("RepetitionPenaltyLogitsProcessor", input_ids, scores,
                      [&] { return Penalize(scores, input_ids, penalty_); });
}

absl::StatusOr<EncoderRepetitionPenaltyLogitsProcessor>
EncoderRepetitionPenaltyLogitsProcessor::Create(double penalty,
                                                at::Tensor encoder_input_ids) {
  absl::Status status = CheckPenalty(penalty);
  if (status.ok()) status = CheckSource(encoder_input_ids, /*min_dim=*/2);
  if (!status.ok()) return status;
  return EncoderRepetitionPenaltyLogitsProcessor(1 / penalty,
                                                 std::move(encoder_input_ids));
}

absl::StatusOr<at::Tensor> EncoderRepetitionPenaltyLogitsProcessor::Process(
    const at::Tensor& input_ids, at::Tensor scores) {
  return RunProcessor(
      "EncoderRepetitionPenaltyLogitsProcessor", input_ids, scores, [&] {
        encoder_input_ids_ = encoder_input_ids_.to(scores.device());
        return Penalize(scores, encoder_input_ids_, penalty_);
      });
}

absl::StatusOr<NoRepeatNGramLogitsProcessor>
NoRepeatNGramLogitsProcessor::Create(int64_t ngram_size) {
  absl::Status status = CheckNGramSize("ngram_size", ngram_size);
  if (!status.ok()) return status;
  return NoRepeatNGramLogitsProcessor(ngram_size);
}

absl::StatusOr<at::Tensor> NoRepeatNGramLogitsProcessor::Process(
    const at::Tensor& input_ids, at::Tensor scores) {
  return RunProcessor("NoRepeatNGramLogitsProcessor", input_ids, scores, [&] {
    if (input_ids.size(1) < ngram_size_) return scores;
    const std::vector<std::vector<int64_t>> rows = RowsOf(input_ids);
    Banned banned;
    for (size_t row = 0; row < rows.size(); ++row) {
      const absl::Span<const int64_t> text = rows[row];
      banned.AddFollowers(row, text, text.last(ngram_size_ - 1));
    }
    SetScores(scores, banned.rows, banned.ids, kNever);
    return scores;
  });
}

absl::StatusOr<EncoderNoRepeatNGramLogitsProcessor>
EncoderNoRepeatNGramLogitsProcessor::Create(
    int64_t encoder_ngram_size, const at::Tensor& encoder_input_ids) {
  absl::Status status =
      CheckNGramSize("encoder_ngram_size", encoder_ngram_size);
  if (status.ok()) status = CheckSource(encoder_input_ids, /*min_dim=*/1);
  if (!status.ok()) return status;
  return CatchTorch(
      "EncoderNoRepeatNGramLogitsProcessor",
      [&]() -> absl::StatusOr<EncoderNoRepeatNGramLogitsProcessor> {
        return EncoderNoRepeatNGramLogitsProcessor(
            encoder_ngram_size,
            RowsOf(encoder_input_ids.dim() == 1 ? encoder_input_ids.unsqueeze(0)
                                                : encoder_input_ids));
      });
}

absl::StatusOr<at::Tensor> EncoderNoRepeatNGramLogitsProcessor::Process(
    const at::Tensor& input_ids, at::Tensor scores) {
  constexpr char kName[] = "EncoderNoRepeatNGramLogitsProcessor";
  return RunProcessor(
      kName, input_ids, scores, [&]() -> absl::StatusOr<at::Tensor> {
        const int64_t batch = sources_.size();
        if (scores.size(0) % batch != 0) {
          return absl::InvalidArgumentError(
              absl::StrCat(kName, ": there are ", scores.size(0),
                           " rows, but a multiple of the sources, ", batch,
                           ", is expected"));
        }
        const int64_t prefix = ngram_size_ - 1;
        if (input_ids.size(1) < prefix) return scores;
        const int64_t beams = scores.size(0) / batch;
        const std::vector<std::vector<int64_t>> ends =
            RowsOf(input_ids.narrow(1, input_ids.size(1) - prefix, prefix));
        Banned banned;
        for (size_t row = 0; row < ends.size(); ++row) {
          banned.AddFollowers(row, sources_[row / beams], ends[row]);
        }
        SetScores(scores, banned.rows, banned.ids, kNever);
        return scores;
      });
}

}  // namespace pretrained
