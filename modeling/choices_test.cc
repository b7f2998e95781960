#include "modeling/choices.h"

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

at::Tensor Ids(at::IntArrayRef shape) {
  int64_t count = 1;
  for (int64_t size : shape) count *= size;
  return at::arange(count, at::dtype(at::kLong)).reshape(shape);
}

TEST(ChoicesTest, EachChoiceIsASequence) {
  const at::Tensor given = Ids({2, 3, 5});
  at::Tensor ids = given;
  at::Tensor embeds;
  at::Tensor mask = Ids({2, 3, 5}) + 1;
  at::Tensor shared = Ids({1, 5});
  at::Tensor absent;
  absl::StatusOr<ChoiceSizes> sizes = MergeChoices(
      ids, embeds, 4,
      {{"attention_mask", &mask}, {"position_ids", &shared}, {"x", &absent}});
  ASSERT_THAT(sizes, IsOk());
  EXPECT_EQ(sizes->batch, 2);
  EXPECT_EQ(sizes->choices, 3);
  EXPECT_TRUE(at::equal(ids, Ids({6, 5})));
  EXPECT_TRUE(at::equal(mask, Ids({6, 5}) + 1));
  EXPECT_TRUE(at::equal(shared, Ids({1, 5})));
  EXPECT_FALSE(absent.defined());
  EXPECT_FALSE(embeds.defined());
  EXPECT_EQ(given.dim(), 3);
}

TEST(ChoicesTest, EmbeddingsKeepTheirSize) {
  at::Tensor ids;
  at::Tensor embeds = Ids({2, 3, 5, 4});
  absl::StatusOr<ChoiceSizes> sizes = MergeChoices(ids, embeds, 4, {});
  ASSERT_THAT(sizes, IsOk());
  EXPECT_EQ(sizes->choices, 3);
  EXPECT_TRUE(at::equal(embeds, Ids({6, 5, 4})));
}

TEST(ChoicesTest, NamesTheInputThatHasNoChoices) {
  const auto merge = [](at::Tensor ids, at::Tensor embeds, at::Tensor mask) {
    return MergeChoices(ids, embeds, 4, {{"attention_mask", &mask}}).status();
  };
  const auto invalid = [](const char* text) {
    return StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(text));
  };
  EXPECT_THAT(merge(Ids({2, 5}), {}, {}),
              invalid("input_ids: has shape [2, 5]"));
  EXPECT_THAT(merge({}, Ids({2, 3, 5}), {}),
              invalid("[batch, choices, tokens, 4] is expected"));
  EXPECT_THAT(merge(Ids({2, 3, 5}), {}, Ids({2, 3, 5, 5})),
              invalid("attention_mask: has shape [2, 3, 5, 5]"));
  EXPECT_THAT(merge({}, {}, {}), invalid("give input_ids, or inputs_embeds"));
  EXPECT_THAT(merge(Ids({2, 3, 5}), Ids({2, 3, 5, 4}), {}),
              invalid("not both"));
}

}  // namespace
}  // namespace pretrained
