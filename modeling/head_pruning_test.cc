#include "modeling/head_pruning.h"

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/layers.h"
#include "modeling/layout_nodes.h"
#include "modeling/module.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct PruningCase {
  const char* what;
  std::vector<int64_t> heads;
  std::set<int64_t> pruned;
  std::vector<int64_t> going;
  std::vector<int64_t> rows;  // Four heads of two rows.
};

TEST(FindHeadsToPruneTest, KeepsTheRowsOfTheOthers) {
  const PruningCase cases[] = {
      {"none", {}, {}, {}, {0, 1, 2, 3, 4, 5, 6, 7}},
      {"the first", {0}, {}, {0}, {2, 3, 4, 5, 6, 7}},
      {"two, unsorted, one twice", {3, 1, 3}, {}, {1, 3}, {0, 1, 4, 5}},
      {"one that went already", {1}, {1}, {}, {0, 1, 2, 3, 4, 5}},
      {"one behind one that went", {2}, {1}, {2}, {0, 1, 4, 5}},
      {"one before one that went", {0}, {3}, {0}, {2, 3, 4, 5}},
      {"all but one", {0, 1}, {2}, {0, 1}, {4, 5}},
  };
  for (const PruningCase& test : cases) {
    SCOPED_TRACE(test.what);
    absl::StatusOr<HeadsToPrune> found =
        FindHeadsToPrune(test.heads, 4, 2, test.pruned);
    ASSERT_THAT(found, IsOk());
    EXPECT_EQ(found->heads, test.going);
    EXPECT_EQ(found->rows, test.rows);
  }
}

TEST(FindHeadsToPruneTest, RefusesHeadsThatNeverWereAndPruningAll) {
  for (const int64_t head : {-1, 4, 1'000'000}) {
    EXPECT_THAT(FindHeadsToPrune({0, head}, 4, 2, {}),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("there are heads 0 to 3")));
  }
  EXPECT_THAT(FindHeadsToPrune({0, 1, 2, 3}, 4, 2, {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("would leave none")));
  EXPECT_THAT(FindHeadsToPrune({0, 1, 3}, 4, 2, {2}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("would leave none")));
}

TEST(PlanHeadPruningTest, PlansTheLayersThatLoseHeads) {
  absl::StatusOr<std::map<int64_t, HeadsToPrune>> plan =
      PlanHeadPruning({{0, {1, 0}}, {2, {3}}}, 3, 4, 2, {{0, {1}}, {2, {3}}});
  ASSERT_THAT(plan.status(), IsOk());
  ASSERT_EQ(plan->size(), 1u);  // Layer 2 lost its head earlier.
  EXPECT_THAT(plan->at(0).heads, ElementsAre(0));
  EXPECT_THAT(plan->at(0).rows, ElementsAre(2, 3, 4, 5));
}

TEST(PlanHeadPruningTest, RefusesLayersAndHeadsThatThereAreNot) {
  for (const int64_t layer : {int64_t{-1}, int64_t{3}}) {
    EXPECT_THAT(PlanHeadPruning({{0, {1}}, {layer, {1}}}, 3, 4, 2, {}).status(),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("there are 3 layers, from 0")));
  }
  EXPECT_THAT(PlanHeadPruning({{0, {4}}}, 3, 4, 2, {}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("there are heads 0 to 3")));
}

TEST(PrunedHeadsJsonTest, IsWhatTheConfigSays) {
  EXPECT_EQ(PrunedHeadsJson({{0, {3, 1}}, {1, {}}, {2, {0}}}).dump(),
            R"({"0":[1,3],"2":[0]})");
  EXPECT_EQ(PrunedHeadsJson({}).dump(), "{}");
}

TEST(PruneLinearTest, KeepsRowsAndTheirBias) {
  auto linear = std::make_shared<Linear>(LinearNode("x", 3, 4),
                                         ModuleOptions{.device = at::kCPU});
  const at::Tensor weight = at::arange(12).to(at::kFloat).reshape({4, 3});
  const at::Tensor bias = at::arange(4).to(at::kFloat);
  ASSERT_THAT(linear->ReplaceTensors({{"weight", weight}, {"bias", bias}}),
              IsOk());
  PruneLinearInPlace(*linear, {1, 3}, 0);
  EXPECT_TRUE(at::equal(
      linear->parameter("weight"),
      at::tensor({3.0, 4.0, 5.0, 9.0, 10.0, 11.0}, at::dtype(at::kFloat))
          .reshape({2, 3})));
  EXPECT_TRUE(at::equal(linear->parameter("bias"),
                        at::tensor({1.0, 3.0}, at::dtype(at::kFloat))));
  EXPECT_TRUE(linear->parameter("weight").requires_grad());
  EXPECT_TRUE(linear->parameter("weight").is_leaf());
}

TEST(PruneLinearTest, KeepsColumnsAndTheWholeBias) {
  auto linear = std::make_shared<Linear>(LinearNode("x", 3, 2),
                                         ModuleOptions{.device = at::kCPU});
  const at::Tensor weight = at::arange(6).to(at::kFloat).reshape({2, 3});
  const at::Tensor bias = at::arange(2).to(at::kFloat);
  ASSERT_THAT(linear->ReplaceTensors({{"weight", weight}, {"bias", bias}}),
              IsOk());
  PruneLinearInPlace(*linear, {0, 2}, 1);
  EXPECT_TRUE(at::equal(
      linear->parameter("weight"),
      at::tensor({0.0, 2.0, 3.0, 5.0}, at::dtype(at::kFloat)).reshape({2, 2})));
  EXPECT_TRUE(at::equal(linear->parameter("bias"), bias));
}

}  // namespace
}  // namespace pretrained
