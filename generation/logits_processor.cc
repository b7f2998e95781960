#include "generation/logits_processor.h"

#include <cstdint>
#include <memory>
#include <sstream>
#include <string>
#include <typeinfo>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "c10/util/Type.h"

namespace pretrained {
namespace {

std::string Described(const at::Tensor& tensor) {
  if (!tensor.defined()) return "undefined";
  std::ostringstream text;
  text << tensor.scalar_type() << tensor.sizes();
  return text.str();
}

at::Tensor AsIndex(const std::vector<int64_t>& ids, const at::Tensor& like) {
  return at::tensor(ids, at::dtype(at::kLong)).to(like.device());
}

}  // namespace

absl::Status LogitsProcessorList::Merge(const LogitsProcessorList& custom) {
  for (const std::shared_ptr<LogitsProcessor>& own : processors_) {
    for (const std::shared_ptr<LogitsProcessor>& given : custom.processors_) {
      const LogitsProcessor& processor = *given;
      if (typeid(*own) != typeid(processor)) continue;
      return absl::InvalidArgumentError(absl::StrCat(
          "a ", c10::demangle(typeid(processor).name()),
          " is given, but the config asks for one too; set the config's "
          "attributes as you want them, or unset them"));
    }
  }
  processors_.insert(processors_.end(), custom.processors_.begin(),
                     custom.processors_.end());
  return absl::OkStatus();
}

absl::StatusOr<at::Tensor> LogitsProcessorList::Process(
    const at::Tensor& input_ids, at::Tensor scores) {
  for (const std::shared_ptr<LogitsProcessor>& processor : processors_) {
    absl::StatusOr<at::Tensor> next =
        processor->Process(input_ids, std::move(scores));
    if (!next.ok()) return next;
    scores = *std::move(next);
  }
  return scores;
}

absl::StatusOr<at::Tensor> LogitsProcessorList::ProcessGroup(
    const at::Tensor& input_ids, at::Tensor scores, const BeamGroup& group) {
  for (const std::shared_ptr<LogitsProcessor>& processor : processors_) {
    absl::StatusOr<at::Tensor> next =
        processor->ProcessGroup(input_ids, std::move(scores), group);
    if (!next.ok()) return next;
    scores = *std::move(next);
  }
  return scores;
}

absl::Status CheckScores(const char* processor, const at::Tensor& scores) {
  if (scores.defined() && scores.dim() == 2 && scores.size(1) > 0 &&
      scores.is_floating_point()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat(processor, ": scores are ", Described(scores),
                   ", but floating-point [rows, vocabulary] is expected"));
}

absl::Status CheckProcessorInputs(const char* processor,
                                  const at::Tensor& input_ids,
                                  const at::Tensor& scores) {
  absl::Status status = CheckScores(processor, scores);
  if (!status.ok()) return status;
  if (input_ids.defined() && input_ids.dim() == 2 &&
      input_ids.scalar_type() == at::kLong &&
      input_ids.size(0) == scores.size(0)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      processor, ": input_ids are ", Described(input_ids), ", but int64 [",
      scores.size(0), ", tokens] is expected, a row to each of the scores"));
}

at::Tensor IdsWithin(const std::vector<int64_t>& ids, int64_t vocabulary,
                     const at::Tensor& like) {
  std::vector<int64_t> within;
  within.reserve(ids.size());
  for (const int64_t id : ids) {
    if (id >= 0 && id < vocabulary) within.push_back(id);
  }
  return AsIndex(within, like);
}

void SetScores(at::Tensor& scores, const std::vector<int64_t>& rows,
               const std::vector<int64_t>& ids, double value) {
  std::vector<int64_t> rows_within, ids_within;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] >= scores.size(1)) continue;
    rows_within.push_back(rows[i]);
    ids_within.push_back(ids[i]);
  }
  if (ids_within.empty()) return;
  scores.index_put_({AsIndex(rows_within, scores), AsIndex(ids_within, scores)},
                    at::scalar_tensor(value, scores.options()));
}

}  // namespace pretrained
