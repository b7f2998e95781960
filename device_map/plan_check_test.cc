#include "device_map/plan_check.h"

#include <string>
#include <vector>

#include "device_map/device.h"
#include "device_map/device_map.h"
#include "device_map/golden_testutil.h"
#include "device_map/max_memory.h"
#include "device_map/sized_tree.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// a.w and b.x.w: 16 bytes; b.y.w: 40; b is not to be split.
std::vector<std::string> Problems(const std::string& device_map,
                                  const std::string& max_memory) {
  const SizedTree tree = SizedTreeFromJson(
      R"({"children": {
            "a": {"parameters": {"w": {"shape": [4]}}},
            "b": {"class": "Block", "children": {
              "x": {"parameters": {"w": {"shape": [4]}}},
              "y": {"parameters": {"w": {"shape": [10]}}}}},
            "c": {"parameters": {"w": {"shape": [4]}}}},
          "tied": [["a.w", "c.w"]]})",
      {.no_split_classes = {"Block"}});
  return ProblemsOfPlan(tree, *ParseDeviceMap(device_map),
                        *ParseMaxMemory(max_memory));
}

TEST(PlanCheckTest, FindsNothingInAValidPlan) {
  EXPECT_THAT(Problems(R"({"": 0})", R"({"0": 72})"), IsEmpty());
  EXPECT_THAT(
      Problems(R"({"a": 0, "c": 0, "b": "cpu"})", R"({"0": 16, "cpu": 56})"),
      IsEmpty());
  EXPECT_THAT(Problems(R"({"": "disk"})", R"({"cpu": 0})"), IsEmpty());
}

TEST(PlanCheckTest, FindsBudgetsThatAreExceeded) {
  EXPECT_THAT(Problems(R"({"": 0})", R"({"0": 71})"),
              ElementsAre("0 holds 72 bytes, but may hold 71"));
  EXPECT_THAT(Problems(R"({"": 1})", R"({"0": 100})"),
              ElementsAre("1 holds 72 bytes, but may hold 0"));
  EXPECT_THAT(Problems(R"({"": "disk"})", R"({"disk": 71})"),
              ElementsAre("disk holds 72 bytes, but may hold 71"));
}

TEST(PlanCheckTest, FindsWhatIsNotCoveredTornApartOrSplit) {
  EXPECT_THAT(Problems(R"({"a": 0, "b": 0})", R"({"0": 100})"),
              ElementsAre(HasSubstr("c.w"), HasSubstr("c.w")));
  EXPECT_THAT(
      Problems(R"({"a": 0, "b": 0, "c": 1})", R"({"0": 100, "1": 100})"),
      ElementsAre(HasSubstr("is tied to")));
  EXPECT_THAT(Problems(R"({"": 0, "b.y": 1})", R"({"0": 100, "1": 100})"),
              ElementsAre("'b' (Block) is not to be split, but is"));
}

}  // namespace
}  // namespace pretrained
