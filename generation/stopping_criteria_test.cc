#include "generation/stopping_criteria.h"

#include <cstdint>
#include <memory>
#include <optional>

#include "ATen/ATen.h"
#include "absl/base/log_severity.h"
#include "absl/log/scoped_mock_log.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::_;
using ::testing::HasSubstr;

at::Tensor Rows(int64_t tokens) { return at::zeros({2, tokens}, at::kLong); }

TEST(StoppingCriteriaTest, CountsTokens) {
  MaxLengthCriteria length(5);
  EXPECT_FALSE(length.ShouldStop(Rows(4), {}));
  EXPECT_TRUE(length.ShouldStop(Rows(5), {}));
  EXPECT_TRUE(length.ShouldStop(Rows(6), {}));
  EXPECT_EQ(length.max_length(), 5);
  MaxNewTokensCriteria more(3, 2);
  EXPECT_FALSE(more.ShouldStop(Rows(4), {}));
  EXPECT_TRUE(more.ShouldStop(Rows(5), {}));
  EXPECT_EQ(more.max_length(), 5);
}

TEST(StoppingCriteriaTest, WarnsOncePastTheModelsPositions) {
  MaxLengthCriteria length(5, 3);
  absl::ScopedMockLog log(absl::MockLogDefault::kDisallowUnexpected);
  EXPECT_CALL(
      log, Log(absl::LogSeverity::kWarning, _, HasSubstr("made for 3 tokens")))
      .Times(1);
  log.StartCapturingLogs();
  EXPECT_FALSE(length.ShouldStop(Rows(2), {}));
  EXPECT_FALSE(length.ShouldStop(Rows(3), {}));
  EXPECT_FALSE(length.ShouldStop(Rows(4), {}));
  EXPECT_TRUE(length.ShouldStop(Rows(5), {}));
}

TEST(StoppingCriteriaTest, CountsTime) {
  EXPECT_TRUE(MaxTimeCriteria(absl::Hours(1), absl::Now() - absl::Hours(2))
                  .ShouldStop(Rows(1), {}));
  EXPECT_FALSE(
      MaxTimeCriteria(absl::InfiniteDuration()).ShouldStop(Rows(1), {}));
  EXPECT_TRUE(MaxTimeCriteria(absl::Seconds(-1)).ShouldStop(Rows(1), {}));
  EXPECT_EQ(MaxTimeCriteria(absl::Hours(1)).max_length(), std::nullopt);
}

TEST(StoppingCriteriaListTest, StopsWhenOneDoes) {
  StoppingCriteriaList list;
  EXPECT_FALSE(list.ShouldStop(Rows(100), {}));
  EXPECT_EQ(list.max_length(), std::nullopt);
  list.Add(MaxTimeCriteria(absl::InfiniteDuration()));
  list.Add(std::make_unique<MaxNewTokensCriteria>(2, 6));
  list.Add(MaxLengthCriteria(5));
  EXPECT_FALSE(list.ShouldStop(Rows(4), {}));
  EXPECT_TRUE(list.ShouldStop(Rows(5), {}));
  EXPECT_EQ(list.max_length(), 8);  // The first that has one.
  EXPECT_EQ(list.size(), 3);
}

TEST(StoppingCriteriaListTest, TakesNoSecondOfAClass) {
  StoppingCriteriaList own, same, other;
  own.Add(MaxLengthCriteria(5));
  same.Add(MaxLengthCriteria(6));
  other.Add(MaxTimeCriteria(absl::Hours(1)));
  EXPECT_THAT(own.Merge(same), StatusIs(absl::StatusCode::kInvalidArgument,
                                        HasSubstr("MaxLengthCriteria")));
  EXPECT_EQ(own.size(), 1);
  EXPECT_THAT(own.Merge(other), IsOk());
  EXPECT_EQ(own.size(), 2);
}

TEST(StoppingCriteriaListTest, GetsALengthIfItHasNone) {
  EXPECT_EQ(WithMaxLength({}, 7).max_length(), 7);
  StoppingCriteriaList own;
  own.Add(MaxLengthCriteria(5));
  absl::ScopedMockLog log(absl::MockLogDefault::kDisallowUnexpected);
  EXPECT_CALL(log, Log(absl::LogSeverity::kWarning, _,
                       HasSubstr("have a length of 5, and 'max_length' is 7")))
      .Times(1);
  log.StartCapturingLogs();
  EXPECT_EQ(WithMaxLength(own, 7).max_length(), 5);
  EXPECT_EQ(WithMaxLength(own, 5).size(), 1);
}

}  // namespace
}  // namespace pretrained
