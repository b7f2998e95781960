#include "modeling/rotary_inputs.h"

#include <cstdint>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/rotary_options.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::HasSubstr;

at::Tensor Ids(int64_t rows, int64_t tokens) {
  return at::ones({rows, tokens}, at::dtype(at::kLong));
}

TEST(CheckPositionIdsTest, TakesOneRowOneOfEachAndAFlatOne) {
  for (const at::Tensor& ids :
       {at::Tensor(), Ids(1, 3), Ids(2, 3), Ids(1, 3).flatten()}) {
    EXPECT_THAT(CheckPositionIds(ids, 2, 3, 2, "two"), IsOk());
  }
}

TEST(CheckPositionIdsTest, SaysWhatDoesNotFit) {
  for (const at::Tensor& ids :
       {Ids(3, 3), Ids(2, 2), Ids(1, 6).flatten(), Ids(2, 3).unsqueeze(0)}) {
    EXPECT_THAT(CheckPositionIds(ids, 2, 3, 2, "two"),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("[1 or 2, 3] is expected")))
        << ids.sizes();
  }
  EXPECT_THAT(CheckPositionIds(Ids(2, 3) * 2, 2, 3, 2, "two"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("position_ids: holds 2, but two is 2")));
  EXPECT_THAT(CheckPositionIds(-Ids(2, 3), 2, 3, 2, "two"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("position_ids: holds -1")));
}

TEST(CheckRotaryLengthTest, TwoNumbersCannotGrowDynamically) {
  RotaryOptions options{.dim = 2,
                        .max_positions = 6,
                        .scaling = RotaryOptions::Scaling::kDynamic};
  EXPECT_THAT(CheckRotaryLength(options, 6), IsOk());
  EXPECT_THAT(CheckRotaryLength(options, 7),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("beyond max_position_embeddings, 6")));
  options.dim = 4;
  EXPECT_THAT(CheckRotaryLength(options, 7), IsOk());
  options.dim = 2;
  options.scaling = RotaryOptions::Scaling::kLinear;
  EXPECT_THAT(CheckRotaryLength(options, 7), IsOk());
}

}  // namespace
}  // namespace pretrained
