#include "modeling/attention_heads.h"

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/json_testutil.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

TEST(FindPruneableHeadsTest, IsThePeers) {
  const nlohmann::ordered_json golden = ReadJsonFile(
      "testdata/surgery/pruning/functions/"
      "expect.json")["find_pruneable_heads_and_indices"];
  ASSERT_GE(golden.size(), 4u);
  for (const auto& test : golden) {
    SCOPED_TRACE(test.dump());
    absl::StatusOr<PruneableHeads> found = FindPruneableHeadsAndIndices(
        test["heads"].get<std::vector<int64_t>>(),
        test["n_heads"].get<int64_t>(), test["head_size"].get<int64_t>(),
        test["already_pruned"].get<std::set<int64_t>>());
    ASSERT_THAT(found, IsOk());
    EXPECT_EQ(found->heads, test["result_heads"].get<std::set<int64_t>>());
    EXPECT_EQ(found->index, test["index"].get<std::vector<int64_t>>());
  }
}

struct FindCase {
  const char* what;
  std::vector<int64_t> heads;
  std::set<int64_t> gone;  // Of four heads of two rows.
  std::set<int64_t> going;
  std::vector<int64_t> index;
};

TEST(FindPruneableHeadsTest, KeepsTheRowsOfTheOthers) {
  const FindCase cases[] = {
      {"none", {}, {}, {}, {0, 1, 2, 3, 4, 5, 6, 7}},
      {"two, unsorted, one twice", {3, 1, 3}, {}, {1, 3}, {0, 1, 4, 5}},
      {"one that is gone", {1}, {1}, {}, {0, 1, 2, 3, 4, 5}},
      {"one behind one that is gone", {2}, {1}, {2}, {0, 1, 4, 5}},
      {"one before one that is gone", {0}, {3}, {0}, {2, 3, 4, 5}},
      {"all but one", {0, 1}, {2}, {0, 1}, {4, 5}},
  };
  for (const FindCase& test : cases) {
    SCOPED_TRACE(test.what);
    const int64_t left = 4 - static_cast<int64_t>(test.gone.size());
    absl::StatusOr<PruneableHeads> found =
        FindPruneableHeadsAndIndices(test.heads, left, 2, test.gone);
    ASSERT_THAT(found, IsOk());
    EXPECT_EQ(found->heads, test.going);
    EXPECT_EQ(found->index, test.index);
  }
}

TEST(FindPruneableHeadsTest, RefusesHeadsThatNeverWereAndPruningAll) {
  for (const int64_t head : {-1, 4, 1'000'000}) {
    EXPECT_THAT(FindPruneableHeadsAndIndices({0, head}, 4, 2, {}),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("there are heads 0 to 3")));
  }
  EXPECT_THAT(FindPruneableHeadsAndIndices({0, 1, 2, 3}, 4, 2, {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("would leave none of 4")));
  EXPECT_THAT(FindPruneableHeadsAndIndices({0, 1, 3}, 3, 2, {2}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("would leave none of 4")));
  EXPECT_THAT(FindPruneableHeadsAndIndices({}, 0, 2, {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("0 heads of size 2")));
}

TEST(HeadsLeftTest, KeepTheirNumbers) {
  const PrunedHeads pruned = {{1, {0, 2}}};
  EXPECT_EQ(NumHeadsLeft(pruned, 1, 4), 2);
  EXPECT_THAT(HeadsLeft(pruned, 1, 4), ElementsAre(1, 3));
  EXPECT_EQ(NumHeadsLeft(pruned, 0, 4), 4);
  EXPECT_THAT(HeadsLeft(pruned, 0, 2), ElementsAre(0, 1));
}

TEST(PrunedHeadsJsonTest, IsWhatTheConfigSays) {
  EXPECT_EQ(PrunedHeadsJson({{0, {3, 1}}, {1, {}}, {2, {0}}}).dump(),
            R"({"0":[1,3],"2":[0]})");
  EXPECT_EQ(PrunedHeadsJson({}).dump(), "{}");
}

TEST(PlanHeadPruningTest, PlansTheLayersThatLoseHeads) {
  const AttentionHeads model{
      .num_layers = 3, .num_heads = 4, .pruned = {{0, {1}}, {2, {3}}}};
  absl::StatusOr<PrunedHeads> plan =
      PlanHeadPruning(model, {{0, {1, 0}}, {1, {}}, {2, {3}}});
  ASSERT_THAT(plan, IsOk());
  EXPECT_THAT(*plan, ElementsAre(Pair(0, ElementsAre(0))));
}

TEST(PlanHeadPruningTest, RefusesLayersAndHeadsThatThereAreNot) {
  const AttentionHeads model{.num_layers = 3, .num_heads = 4};
  for (const int64_t layer : {int64_t{-1}, int64_t{3}}) {
    EXPECT_THAT(PlanHeadPruning(model, {{0, {1}}, {layer, {1}}}),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("there are 3 layers, from 0")));
  }
  EXPECT_THAT(PlanHeadPruning(model, {{1, {4}}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("layer 1: head 4 cannot be pruned: there are "
                                 "heads 0 to 3")));
}

TEST(PlanHeadPruningTest, HeadsThatShareAKeyGoTogether) {
  const AttentionHeads model{.num_layers = 1, .num_heads = 6, .group_size = 2};
  EXPECT_THAT(PlanHeadPruning(model, {{0, {2}}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("head 2"), HasSubstr("head 3"),
                             HasSubstr("share one key"))));
  absl::StatusOr<PrunedHeads> plan = PlanHeadPruning(model, {{0, {3, 2}}});
  ASSERT_THAT(plan, IsOk());
  EXPECT_THAT(*plan, ElementsAre(Pair(0, ElementsAre(2, 3))));
}

TEST(IndicesToKeepTest, FollowHowHeadsLieInAProjection) {
  const AttentionHeads model{.num_layers = 1,
                             .num_heads = 6,
                             .group_size = 2,
                             .pruned = {{0, {0, 1}}}};  // Left: 2 to 5.
  const std::set<int64_t> going = {2, 3};
  EXPECT_THAT(IndicesToKeep(model, 0, going, {"q", 2}),
              ElementsAre(4, 5, 6, 7));
  EXPECT_THAT(IndicesToKeep(model, 0, going,
                            {.module = "k", .head_size = 2, .shared_by = 2}),
              ElementsAre(2, 3));
  EXPECT_THAT(IndicesToKeep(model, 0, going,
                            {.module = "qkv", .head_size = 1, .parts = 3}),
              ElementsAre(2, 3, 6, 7, 10, 11));
  EXPECT_THAT(IndicesToKeep(model, 0, {2, 3, 4, 5}, {"q", 2}), IsEmpty());
}

}  // namespace
}  // namespace pretrained
