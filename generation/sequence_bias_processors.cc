#include "generation/sequence_bias_processors.h"

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
#include "absl/strings/str_join.h"
#include "generation/run_processor.h"

namespace pretrained {
namespace {

absl::Status CheckSequence(const std::vector<int64_t>& sequence) {
  const bool negative = std::any_of(sequence.begin(), sequence.end(),
                                    [](int64_t id) { return id < 0; });
  if (!sequence.empty() && !negative) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("a sequence is [", absl::StrJoin(sequence, ", "),
                   "], but at least one id of 0 or more is expected"));
}

}  // namespace

absl::StatusOr<SequenceBiasLogitsProcessor> SequenceBiasLogitsProcessor::Create(
    SequenceBias bias) {
  if (bias.empty()) {
    return absl::InvalidArgumentError(
        "'sequence_bias' is empty, but at least one sequence is expected");
  }
  for (const auto& [sequence, value] : bias) {
    absl::Status status = CheckSequence(sequence);
    if (!status.ok()) return status;
  }
  return SequenceBiasLogitsProcessor(std::move(bias));
}

// Makes `singles_` for the vocabulary of `scores`.
void SequenceBiasLogitsProcessor::PrepareSingles(const at::Tensor& scores) {
  if (singles_.defined() && singles_.size(0) == scores.size(1) &&
      singles_.device() == scores.device()) {
    return;
  }
  singles_ = at::zeros({scores.size(1)}, at::kFloat);
  float* singles = singles_.data_ptr<float>();
  for (const auto& [sequence, value] : bias_) {
    if (sequence.size() == 1 && sequence[0] < scores.size(1)) {
      singles[sequence[0]] = static_cast<float>(value);
    }
  }
  singles_ = singles_.to(scores.device());
}

absl::StatusOr<at::Tensor> SequenceBiasLogitsProcessor::Process(
    const at::Tensor& input_ids, at::Tensor scores) {
  return RunProcessor("SequenceBiasLogitsProcessor", input_ids, scores, [&] {
    PrepareSingles(scores);
    const at::Tensor ids = input_ids.to(at::kCPU).contiguous();
    const int64_t tokens = ids.size(1), vocabulary = scores.size(1);
    std::vector<int64_t> rows, lasts;
    std::vector<float> biases;
    for (const auto& [sequence, value] : bias_) {
      const int64_t length = sequence.size();
      // One token more than the row's would do, but 4.34 has it so.
      if (length == 1 || length > tokens) continue;
      if (*std::max_element(sequence.begin(), sequence.end()) >= vocabulary) {
        continue;
      }
      for (int64_t row = 0; row < ids.size(0); ++row) {
        const int64_t* end = ids.const_data_ptr<int64_t>() + (row + 1) * tokens;
        if (!std::equal(end - (length - 1), end, sequence.begin())) continue;
        rows.push_back(row);
        lasts.push_back(sequence.back());
        biases.push_back(static_cast<float>(value));
      }
    }
    if (rows.empty()) return scores.add_(singles_);
    // All biases of a token are added up before its score is.
    at::Tensor bias = singles_.expand_as(scores).clone();
    const auto index = [&](const std::vector<int64_t>& values) {
      return at::tensor(values, at::dtype(at::kLong)).to(scores.device());
    };
    bias.index_put_({index(rows), index(lasts)},
                    at::tensor(biases, at::dtype(at::kFloat)).to(bias.device()),
                    /*accumulate=*/true);
    return scores.add_(bias);
  });
}

absl::StatusOr<NoBadWordsLogitsProcessor> NoBadWordsLogitsProcessor::Create(
    const std::vector<std::vector<int64_t>>& bad_words_ids,
    const std::vector<int64_t>& eos_token_ids) {
  if (bad_words_ids.empty()) {
    return absl::InvalidArgumentError(
        "'bad_words_ids' is empty, but at least one word is expected");
  }
  SequenceBias bias;
  for (const std::vector<int64_t>& word : bad_words_ids) {
    const bool is_eos = word.size() == 1 &&
                        std::find(eos_token_ids.begin(), eos_token_ids.end(),
                                  word[0]) != eos_token_ids.end();
    if (!is_eos) bias[word] = -std::numeric_limits<double>::infinity();
  }
  // Where nothing is left, nothing is forbidden.
  for (const auto& [word, value] : bias) {
    absl::Status status = CheckSequence(word);
    if (!status.ok()) return status;
  }
  return NoBadWordsLogitsProcessor(std::move(bias));
}

}  // namespace pretrained
