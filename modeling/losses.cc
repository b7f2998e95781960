#include "modeling/losses.h"

#include <cstdint>
#include <string>

#include "ATen/core/Tensor.h"
#include "ATen/ops/binary_cross_entropy_with_logits.h"
#include "ATen/ops/cross_entropy_loss.h"
#include "ATen/ops/mse_loss.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "c10/core/ScalarType.h"
#include "modeling/named_inputs.h"

namespace pretrained {
namespace {

constexpr int64_t kIgnored = -100;

bool IsInteger(const at::Tensor& labels) {
  const at::ScalarType type = labels.scalar_type();
  return type == at::kLong || type == at::kInt;
}

absl::Status BadDtype(absl::string_view name, const at::Tensor& labels,
                      absl::string_view expected) {
  return absl::InvalidArgumentError(
      absl::StrCat(name, ": is of dtype ", c10::toString(labels.scalar_type()),
                   ", but ", expected));
}

std::string ShapeExpected(at::IntArrayRef sizes) {
  return absl::StrCat("[", absl::StrJoin(sizes, ", "), "] is expected");
}

// logits [n, classes], labels [n].
absl::StatusOr<at::Tensor> CrossEntropy(const at::Tensor& logits,
                                        const at::Tensor& labels,
                                        absl::string_view name,
                                        int64_t ignored = kIgnored) {
  if (!IsInteger(labels)) {
    return BadDtype(name, labels, "int64 or int32 is expected");
  }
  if (!labels.is_meta()) {  // There are values to look at.
    const at::Tensor counted = labels.masked_select(labels.ne(ignored));
    absl::Status status = CheckIds(name, counted, logits.size(-1),
                                   "the number of classes (-100 is ignored)");
    if (!status.ok()) return status;
  }
  return at::cross_entropy_loss(logits, labels.to(at::kLong), {},
                                at::Reduction::Mean, ignored);
}

// `labels` with the shape of `logits` [batch, num_labels], in a dtype that
// holds both.
absl::StatusOr<at::Tensor> Targets(const at::Tensor& logits,
                                   const at::Tensor& labels,
                                   bool is_flat_enough) {
  const bool flat = is_flat_enough && labels.numel() == logits.numel() &&
                    labels.squeeze().sizes() == logits.squeeze().sizes();
  if (!flat && labels.sizes() != logits.sizes()) {
    return BadShape("labels", labels, ShapeExpected(logits.sizes()));
  }
  return labels.reshape(logits.sizes())
      .to(c10::promoteTypes(labels.scalar_type(), logits.scalar_type()));
}

}  // namespace

absl::StatusOr<at::Tensor> TokenLoss(const at::Tensor& logits,
                                     const at::Tensor& labels,
                                     absl::string_view name) {
  const at::IntArrayRef sizes = logits.sizes().slice(0, logits.dim() - 1);
  int64_t count = 1;
  for (const int64_t size : sizes) count *= size;
  if (labels.numel() != count) {
    return BadShape(name, labels, ShapeExpected(sizes));
  }
  return CrossEntropy(logits.reshape({count, logits.size(-1)}),
                      labels.reshape({count}), name);
}

absl::StatusOr<at::Tensor> NextTokenLoss(const at::Tensor& logits,
                                         const at::Tensor& labels) {
  absl::Status status =
      CheckShape("labels", labels, {logits.size(0), logits.size(1)});
  if (!status.ok()) return status;
  const int64_t predicted = logits.size(1) - 1;
  return TokenLoss(logits.narrow(1, 0, predicted),
                   labels.narrow(1, 1, predicted));
}

absl::StatusOr<at::Tensor> SequenceLoss(const at::Tensor& logits,
                                        const at::Tensor& labels,
                                        int64_t num_labels,
                                        const std::string& problem_type) {
  std::string type = problem_type;
  if (type.empty()) {
    type = num_labels == 1     ? "regression"
           : IsInteger(labels) ? "single_label_classification"
                               : "multi_label_classification";
  }
  if (type == "single_label_classification") return TokenLoss(logits, labels);
  const bool is_regression = type == "regression";
  absl::StatusOr<at::Tensor> targets =
      Targets(logits, labels, is_regression && num_labels == 1);
  if (!targets.ok()) return targets;
  if (is_regression) return at::mse_loss(logits, *targets);
  if (!at::isFloatingType(labels.scalar_type())) {
    return BadDtype("labels", labels,
                    "a floating one is expected for several labels at a time");
  }
  return at::binary_cross_entropy_with_logits(logits, *targets);
}

absl::StatusOr<at::Tensor> SpanLoss(const at::Tensor& start_logits,
                                    const at::Tensor& end_logits,
                                    const at::Tensor& start_positions,
                                    const at::Tensor& end_positions) {
  // A position beyond the tokens becomes this, which counts for nothing.
  const int64_t tokens = start_logits.size(1);
  const auto loss = [&](const at::Tensor& logits, const at::Tensor& positions,
                        absl::string_view name) -> absl::StatusOr<at::Tensor> {
    const bool fits = positions.dim() == 1 ||
                      (positions.dim() == 2 && positions.size(1) == 1);
    if (!fits || positions.size(0) != logits.size(0)) {
      return BadShape(name, positions, ShapeExpected({logits.size(0)}));
    }
    return CrossEntropy(logits, positions.reshape({-1}).clamp(0, tokens), name,
                        tokens);
  };
  absl::StatusOr<at::Tensor> start =
      loss(start_logits, start_positions, "start_positions");
  if (!start.ok()) return start;
  absl::StatusOr<at::Tensor> end =
      loss(end_logits, end_positions, "end_positions");
  if (!end.ok()) return end;
  return start->add(*end).div(2);
}

}  // namespace pretrained
