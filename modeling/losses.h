#ifndef PRETRAINED_MODELING_LOSSES_H_
#define PRETRAINED_MODELING_LOSSES_H_

#include <cstdint>
#include <string>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace pretrained {

// The losses that heads compute from labels, as scalars. A class label of -100
// counts for nothing. kInvalidArgument, naming the labels' shape and what was
// expected, or the label that is out of range.

// Mean cross entropy; NaN where no label counts.
//   logits  [.., classes];  labels  [..], or any shape of as many elements, of
//   an integer type, -100 or from 0 to `classes` - 1
//   name    the labels' name in messages
absl::StatusOr<at::Tensor> TokenLoss(const at::Tensor& logits,
                                     const at::Tensor& labels,
                                     absl::string_view name = "labels");

// Likewise, where logits at one token predict the label at the next.
//   logits  [batch, tokens, vocabulary];  labels  [batch, tokens]
absl::StatusOr<at::Tensor> NextTokenLoss(const at::Tensor& logits,
                                         const at::Tensor& labels);

// The loss of a sequence's class. `problem_type` is the config's: "regression"
// (mean squared error), "single_label_classification" (cross entropy),
// "multi_label_classification" (binary cross entropy); where it is empty, it
// follows from `num_labels` and the labels' dtype, as in the peer.
//   logits  [batch, num_labels]
//   labels  of an integer type [batch] (single label), of a floating type
//           [batch, num_labels] (several labels), of any type [batch,
//           num_labels] (regression; [batch] will do where num_labels is 1)
// The result has the logits' dtype, or the labels' where that is a wider
// floating one.
// Matches: transformers 4.34 `BertForSequenceClassification.forward` and its
//     kin.
absl::StatusOr<at::Tensor> SequenceLoss(const at::Tensor& logits,
                                        const at::Tensor& labels,
                                        int64_t num_labels,
                                        const std::string& problem_type);

// The mean of the cross entropies of where an answer starts and ends. Positions
// beyond the tokens count for nothing, negative ones as 0.
//   start_logits, end_logits        [batch, tokens]
//   start_positions, end_positions  [batch] or [batch, 1]
// Matches: transformers 4.34 `BertForQuestionAnswering.forward`.
absl::StatusOr<at::Tensor> SpanLoss(const at::Tensor& start_logits,
                                    const at::Tensor& end_logits,
                                    const at::Tensor& start_positions,
                                    const at::Tensor& end_positions);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_LOSSES_H_
