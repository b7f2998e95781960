#include "modeling/last_token.h"

#include <cstdint>
#include <optional>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::HasSubstr;

// Logits [batch, tokens, 2] of which the first tells the token.
at::Tensor Logits(int64_t batch, int64_t tokens) {
  const at::Tensor token = at::arange(tokens, at::dtype(at::kFloat));
  return at::stack({token, -token}, -1).expand({batch, tokens, 2});
}

// Which token of each row of `ids` is taken.
std::vector<int64_t> TokensTaken(const at::Tensor& ids,
                                 std::optional<int64_t> pad_token_id) {
  absl::StatusOr<at::Tensor> taken =
      LastTokenLogits(Logits(ids.size(0), ids.size(1)), ids, pad_token_id);
  EXPECT_THAT(taken, IsOk());
  if (!taken.ok()) return {};
  EXPECT_EQ(taken->sizes(), at::IntArrayRef({ids.size(0), 2}));
  EXPECT_TRUE(at::equal(taken->select(1, 1), -taken->select(1, 0)));
  std::vector<int64_t> tokens;
  for (int64_t row = 0; row < ids.size(0); ++row) {
    tokens.push_back(taken->select(0, row)[0].item().toLong());
  }
  return tokens;
}

at::Tensor Row(at::ArrayRef<int64_t> ids) {
  return at::tensor(ids, at::dtype(at::kLong)).unsqueeze(0);
}

struct Taken {
  std::vector<int64_t> ids;
  int64_t token;
};

// As in the peer, which looks for the first padding token only; where that is
// the first token, or absent, the last one is taken.
const Taken kTaken[] = {
    {{5, 6, 7, 8}, 3}, {{5, 6, 0, 0}, 1}, {{5, 0, 7, 8}, 0},
    {{0, 0, 7, 8}, 3}, {{0, 0, 0, 0}, 3}, {{5, 6, 7, 0}, 2},
};

TEST(LastTokenLogitsTest, TakesTheTokenBeforeTheFirstPadding) {
  std::vector<at::Tensor> rows;
  std::vector<int64_t> want;
  for (const Taken& taken : kTaken) {
    SCOPED_TRACE(::testing::PrintToString(taken.ids));
    const at::Tensor row = Row(taken.ids);
    EXPECT_THAT(TokensTaken(row, 0), ::testing::ElementsAre(taken.token));
    EXPECT_THAT(TokensTaken(row.to(at::kInt), 0),
                ::testing::ElementsAre(taken.token));
    rows.push_back(row);
    want.push_back(taken.token);
  }
  EXPECT_EQ(TokensTaken(at::cat(rows), 0), want);
}

// As in BLOOM: padding in front moves the token that is taken.
TEST(LastTokenLogitsTest, MayCountTheTokensThatAreNoPadding) {
  for (const Taken& taken :
       {Taken{{5, 6, 7, 8}, 3}, Taken{{5, 6, 0, 0}, 1}, Taken{{5, 0, 7, 8}, 2},
        Taken{{0, 0, 7, 8}, 1}, Taken{{0, 0, 0, 0}, 3}}) {
    absl::StatusOr<at::Tensor> logits = LastTokenLogits(
        Logits(1, 4), Row(taken.ids), 0, LastTokenRule::kByCount);
    ASSERT_THAT(logits, IsOk());
    EXPECT_EQ((*logits)[0][0].item().toLong(), taken.token)
        << ::testing::PrintToString(taken.ids);
  }
}

TEST(LastTokenLogitsTest, APaddingTokenThatIsNoTokenHidesNothing) {
  EXPECT_THAT(TokensTaken(Row({5, 0, 7}), -1), ::testing::ElementsAre(2));
}

TEST(LastTokenLogitsTest, OneRowNeedsNoPaddingToken) {
  EXPECT_THAT(TokensTaken(Row({5, 0, 7}), std::nullopt),
              ::testing::ElementsAre(2));
  EXPECT_THAT(
      LastTokenLogits(Logits(2, 3), at::zeros({2, 3}, at::kLong), std::nullopt),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("set pad_token_id")));
}

TEST(LastTokenLogitsTest, EmbeddingsShowNoPadding) {
  absl::StatusOr<at::Tensor> taken = LastTokenLogits(Logits(2, 3), {}, 0);
  ASSERT_THAT(taken, IsOk());
  EXPECT_TRUE(at::equal(*taken, Logits(2, 3).select(1, 2)));
  EXPECT_THAT(LastTokenLogits(Logits(2, 3), {}, std::nullopt),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace pretrained
