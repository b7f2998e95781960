#include "generation/beam_processors.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "generation/run_processor.h"

namespace pretrained {
namespace {

constexpr char kHamming[] = "HammingDiversityLogitsProcessor";
constexpr char kPrefix[] = "PrefixConstrainedLogitsProcessor";

at::Tensor AsIndex(const std::vector<int64_t>& values, const at::Tensor& like) {
  return at::tensor(values, at::dtype(at::kLong)).to(like.device());
}

}  // namespace

absl::StatusOr<HammingDiversityLogitsProcessor>
HammingDiversityLogitsProcessor::Create(double diversity_penalty,
                                        int64_t num_beams,
                                        int64_t num_beam_groups) {
  if (!(diversity_penalty > 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("'diversity_penalty' is ", diversity_penalty,
                     ", but a number above 0 is expected"));
  }
  if (num_beams < 2) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'num_beams' is ", num_beams, ", but 2 or more are expected"));
  }
  if (num_beam_groups < 2 || num_beam_groups > num_beams) {
    return absl::InvalidArgumentError(
        absl::StrCat("'num_beam_groups' is ", num_beam_groups,
                     ", but from 2 to as many as 'num_beams', ", num_beams,
                     ", are expected"));
  }
  return HammingDiversityLogitsProcessor(diversity_penalty, num_beams,
                                         num_beams / num_beam_groups);
}

absl::StatusOr<at::Tensor> HammingDiversityLogitsProcessor::Process(
    const at::Tensor& input_ids, at::Tensor scores) {
  return absl::FailedPreconditionError(
      absl::StrCat(kHamming, " compares groups of beams: call ProcessGroup()"));
}

absl::StatusOr<at::Tensor> HammingDiversityLogitsProcessor::ProcessGroup(
    const at::Tensor& input_ids, at::Tensor scores, const BeamGroup& group) {
  return RunProcessor(
      kHamming, input_ids, scores, [&]() -> absl::StatusOr<at::Tensor> {
        const int64_t before = group.index * group_size_;
        if (group.index < 0 || before >= num_beams_) {
          return absl::InvalidArgumentError(
              absl::StrCat(kHamming, ": there is no group ", group.index));
        }
        const int64_t size = std::min(group_size_, num_beams_ - before);
        const at::Tensor& tokens = group.current_tokens;
        if (!tokens.defined() || tokens.dim() != 1 ||
            tokens.scalar_type() != at::kLong ||
            tokens.size(0) * size != scores.size(0) * num_beams_) {
          return absl::InvalidArgumentError(absl::StrCat(
              kHamming, ": current_tokens are expected to be int64 [batch * ",
              num_beams_, "] and scores to have ", size,
              " rows for each of the batch"));
        }
        if (before == 0) return scores;
        const at::Tensor here = tokens.to(at::kCPU).contiguous();
        const int64_t* token = here.const_data_ptr<int64_t>();
        std::vector<int64_t> rows, ids;
        std::vector<float> penalties;
        for (int64_t batch = 0; batch * size < scores.size(0); ++batch) {
          std::map<int64_t, int64_t> times;
          for (int64_t beam = 0; beam < before; ++beam) {
            ++times[token[batch * num_beams_ + beam]];
          }
          for (const auto& [id, count] : times) {
            if (id < 0 || id >= scores.size(1)) {
              return absl::InvalidArgumentError(absl::StrCat(
                  kHamming, ": current_tokens have ", id, ", but ids below ",
                  scores.size(1), " are expected"));
            }
            for (int64_t row = batch * size; row < (batch + 1) * size; ++row) {
              rows.push_back(row);
              ids.push_back(id);
              penalties.push_back(static_cast<float>(diversity_penalty_) *
                                  static_cast<float>(count));
            }
          }
        }
        scores.index_put_(
            {AsIndex(rows, scores), AsIndex(ids, scores)},
            -at::tensor(penalties, at::dtype(at::kFloat)).to(scores.options()),
            /*accumulate=*/true);
        return scores;
      });
}

absl::StatusOr<PrefixConstrainedLogitsProcessor>
PrefixConstrainedLogitsProcessor::Create(
    PrefixAllowedTokens prefix_allowed_tokens, int64_t num_beams) {
  if (prefix_allowed_tokens == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(kPrefix, ": a callback is expected"));
  }
  if (num_beams < 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'num_beams' is ", num_beams, ", but 1 or more are expected"));
  }
  return PrefixConstrainedLogitsProcessor(std::move(prefix_allowed_tokens),
                                          num_beams);
}

absl::StatusOr<at::Tensor> PrefixConstrainedLogitsProcessor::Process(
    const at::Tensor& input_ids, at::Tensor scores) {
  return RunProcessor(
      kPrefix, input_ids, scores, [&]() -> absl::StatusOr<at::Tensor> {
        if (scores.size(0) % num_beams_ != 0) {
          return absl::InvalidArgumentError(
              absl::StrCat(kPrefix, ": there are ", scores.size(0),
                           " rows, but a multiple of 'num_beams', ", num_beams_,
                           ", is expected"));
        }
        at::Tensor mask =
            at::full_like(scores, -std::numeric_limits<double>::infinity());
        std::vector<int64_t> rows, ids;
        for (int64_t row = 0; row < scores.size(0); ++row) {
          absl::StatusOr<std::vector<int64_t>> allowed = prefix_allowed_tokens_(
              row / num_beams_, input_ids.select(0, row));
          if (!allowed.ok()) return allowed.status();
          rows.insert(rows.end(), allowed->size(), row);
          ids.insert(ids.end(), allowed->begin(), allowed->end());
        }
        SetScores(mask, rows, ids, 0);
        return scores.add_(mask);
      });
}

}  // namespace pretrained
