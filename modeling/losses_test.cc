#include "modeling/losses.h"

#include <cmath>
#include <string>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/tensor_testutil.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr double kTolerance = 1e-6;
const at::TensorOptions kInt64 = at::dtype(at::kLong);

// Numbers that differ from one another.
at::Tensor Logits(at::IntArrayRef shape) {
  return (at::arange(c10::multiply_integers(shape)) * 0.737)
      .sin()
      .reshape(shape);
}

// -log softmax(logits)[row, label], written out.
double OneCrossEntropy(const at::Tensor& logits, int64_t row, int64_t label) {
  const at::Tensor one = logits[row].to(at::kDouble);
  return one.exp().sum().log().item().toDouble() - one[label].item().toDouble();
}

at::Tensor Scalar(double value) { return at::full({}, value); }

TEST(TokenLossTest, IsTheMeanOverLabelsThatCount) {
  const at::Tensor logits = Logits({2, 3, 4});
  const at::Tensor labels = at::tensor({1, -100, 3, 0, -100, -100}, kInt64);
  const at::Tensor rows = logits.reshape({6, 4});
  const double want =
      (OneCrossEntropy(rows, 0, 1) + OneCrossEntropy(rows, 2, 3) +
       OneCrossEntropy(rows, 3, 0)) /
      3;
  for (const at::Tensor& shaped :
       {labels, labels.reshape({2, 3}), labels.to(at::kInt).reshape({6, 1})}) {
    absl::StatusOr<at::Tensor> loss = TokenLoss(logits, shaped);
    ASSERT_THAT(loss, IsOk());
    EXPECT_THAT(*loss, IsCloseTo(Scalar(want), kTolerance));
  }
}

// The mean of nothing, as in the peer.
TEST(TokenLossTest, IsNanWhereNoLabelCounts) {
  absl::StatusOr<at::Tensor> loss =
      TokenLoss(Logits({2, 3}), at::full({2}, -100, kInt64));
  ASSERT_THAT(loss, IsOk());
  EXPECT_TRUE(std::isnan(loss->item().toDouble()));
}

TEST(TokenLossTest, NamesTheLabelsThatDoNotFit) {
  const at::Tensor logits = Logits({2, 3, 4});
  struct Bad {
    at::Tensor labels;
    const char* message;
  };
  const Bad cases[] = {
      {at::zeros({2, 4}, kInt64), "has shape [2, 4], but [2, 3] is expected"},
      {at::zeros({2, 3}), "is of dtype Float, but int64 or int32"},
      {at::full({2, 3}, 4, kInt64), "holds 4, but the number of classes"},
      {at::full({2, 3}, -1, kInt64), "holds -1"},
      {at::full({2, 3}, -99, kInt64), "holds -99"},
  };
  for (const Bad& bad : cases) {
    EXPECT_THAT(TokenLoss(logits, bad.labels, "tags"),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("tags: "), HasSubstr(bad.message))));
  }
}

TEST(NextTokenLossTest, ATokensLogitsAreHeldToTheNextLabel) {
  const at::Tensor logits = Logits({2, 3, 4});
  const at::Tensor labels =
      at::tensor({3, 1, 2, 0, -100, 1}, kInt64).reshape({2, 3});
  const at::Tensor rows = logits.reshape({6, 4});
  // The first label of a row is predicted by nothing, its last token unused.
  const double want =
      (OneCrossEntropy(rows, 0, 1) + OneCrossEntropy(rows, 1, 2) +
       OneCrossEntropy(rows, 4, 1)) /
      3;
  absl::StatusOr<at::Tensor> loss = NextTokenLoss(logits, labels);
  ASSERT_THAT(loss, IsOk());
  EXPECT_THAT(*loss, IsCloseTo(Scalar(want), kTolerance));
}

TEST(NextTokenLossTest, OneTokenPredictsNothing) {
  absl::StatusOr<at::Tensor> loss =
      NextTokenLoss(Logits({2, 1, 4}), at::zeros({2, 1}, kInt64));
  ASSERT_THAT(loss, IsOk());
  EXPECT_TRUE(std::isnan(loss->item().toDouble()));
}

TEST(NextTokenLossTest, WantsALabelForEachToken) {
  EXPECT_THAT(NextTokenLoss(Logits({2, 3, 4}), at::zeros({6}, kInt64)),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("labels: has shape [6], but [2, 3]")));
}

// What the config does not say follows from the labels.
TEST(SequenceLossTest, TheProblemTypeFollowsFromLabels) {
  const at::Tensor logits = Logits({2, 3});
  const at::Tensor classes = at::tensor({2, 0}, kInt64);
  const at::Tensor shares =
      at::tensor({1.0, 0.0, 0.5, 0.0, 1.0, 1.0}).to(at::kFloat).reshape({2, 3});
  EXPECT_TRUE(at::equal(
      *SequenceLoss(logits, classes, 3, ""),
      *SequenceLoss(logits, classes, 3, "single_label_classification")));
  EXPECT_TRUE(at::equal(
      *SequenceLoss(logits, shares, 3, ""),
      *SequenceLoss(logits, shares, 3, "multi_label_classification")));
  const at::Tensor one = Logits({2, 1});
  EXPECT_TRUE(at::equal(*SequenceLoss(one, classes, 1, ""),
                        *SequenceLoss(one, classes, 1, "regression")));
}

TEST(SequenceLossTest, ASingleLabelIsCrossEntropy) {
  const at::Tensor logits = Logits({2, 3});
  const double want =
      (OneCrossEntropy(logits, 0, 2) + OneCrossEntropy(logits, 1, 0)) / 2;
  EXPECT_THAT(*SequenceLoss(logits, at::tensor({2, 0}, kInt64), 3, ""),
              IsCloseTo(Scalar(want), kTolerance));
}

TEST(SequenceLossTest, SeveralLabelsAreBinaryCrossEntropy) {
  const at::Tensor logits = Logits({2, 3});
  const at::Tensor targets = at::tensor({1.0, 0.0, 0.25, 0.0, 1.0, 1.0})
                                 .to(at::kFloat)
                                 .reshape({2, 3});
  const at::Tensor p = logits.sigmoid();
  const at::Tensor want =
      -(targets * p.log() + (1 - targets) * (1 - p).log()).mean();
  EXPECT_THAT(*SequenceLoss(logits, targets, 3, ""),
              IsCloseTo(want, kTolerance));
}

TEST(SequenceLossTest, RegressionIsTheMeanSquare) {
  const at::Tensor logits = Logits({2, 3});
  const at::Tensor targets = Logits({3, 2}).reshape({2, 3}) + 1;
  EXPECT_THAT(*SequenceLoss(logits, targets, 3, "regression"),
              IsCloseTo((logits - targets).square().mean(), kTolerance));
  // One number a row may come as a column, or flat, and be whole.
  const at::Tensor column = Logits({4, 1});
  const at::Tensor whole = at::tensor({1, 2, 3, 4}, kInt64);
  const at::Tensor want =
      (column.reshape({4}) - whole.to(at::kFloat)).square().mean();
  EXPECT_THAT(*SequenceLoss(column, whole, 1, ""), IsCloseTo(want, kTolerance));
  EXPECT_THAT(*SequenceLoss(column, whole.reshape({4, 1}), 1, ""),
              IsCloseTo(want, kTolerance));
}

TEST(SequenceLossTest, NamesTheLabelsThatDoNotFit) {
  struct Bad {
    at::Tensor labels;
    const char* problem_type;
    const char* message;
  };
  const Bad cases[] = {
      {at::zeros({6}), "regression", "[6], but [2, 3] is expected"},
      {at::zeros({2}), "regression", "[2], but [2, 3] is expected"},
      {at::zeros({6}), "multi_label_classification", "[6], but [2, 3]"},
      {at::zeros({2, 3}, kInt64), "multi_label_classification",
       "is of dtype Long, but a floating one"},
      {at::zeros({2}), "single_label_classification",
       "is of dtype Float, but int64 or int32"},
      {at::zeros({3}, kInt64), "", "[3], but [2] is expected"},
  };
  for (const Bad& bad : cases) {
    EXPECT_THAT(
        SequenceLoss(Logits({2, 3}), bad.labels, 3, bad.problem_type),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(bad.message)));
  }
}

TEST(SpanLossTest, IsTheMeanOfBothEnds) {
  const at::Tensor start = Logits({2, 4});
  const at::Tensor end = Logits({2, 4}) * 2 + 1;
  const double want =
      (OneCrossEntropy(start, 0, 3) + OneCrossEntropy(start, 1, 1) +
       OneCrossEntropy(end, 0, 0) + OneCrossEntropy(end, 1, 2)) /
      4;
  const at::Tensor starts = at::tensor({3, 1}, kInt64);
  const at::Tensor ends = at::tensor({0, 2}, kInt64);
  EXPECT_THAT(*SpanLoss(start, end, starts, ends),
              IsCloseTo(Scalar(want), kTolerance));
  EXPECT_THAT(
      *SpanLoss(start, end, starts.reshape({2, 1}), ends.reshape({2, 1})),
      IsCloseTo(Scalar(want), kTolerance));
}

TEST(SpanLossTest, PositionsBeyondTheTokensDoNotCount) {
  const at::Tensor start = Logits({2, 4});
  const at::Tensor end = Logits({2, 4}) * 2 + 1;
  const double want =
      (OneCrossEntropy(start, 1, 1) + OneCrossEntropy(end, 0, 0)) / 2;
  EXPECT_THAT(*SpanLoss(start, end, at::tensor({4, 1}, kInt64),
                        at::tensor({-7, 99}, kInt64)),
              IsCloseTo(Scalar(want), kTolerance));
}

TEST(SpanLossTest, NamesThePositionsThatDoNotFit) {
  const at::Tensor logits = Logits({2, 4});
  const at::Tensor good = at::zeros({2}, kInt64);
  EXPECT_THAT(SpanLoss(logits, logits, at::zeros({3}, kInt64), good),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("start_positions: has shape [3], but [2]")));
  EXPECT_THAT(SpanLoss(logits, logits, good, at::zeros({2, 2}, kInt64)),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("end_positions: has shape [2, 2]")));
  EXPECT_THAT(SpanLoss(logits, logits, good, at::zeros({})),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("end_positions: has shape []")));
  EXPECT_THAT(SpanLoss(logits, logits, good, at::zeros({2})),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("end_positions: is of dtype Float")));
}

}  // namespace
}  // namespace pretrained
