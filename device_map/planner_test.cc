#include "device_map/planner.h"

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "device_map/balanced_memory.h"
#include "device_map/device.h"
#include "device_map/device_map.h"
#include "device_map/golden_testutil.h"
#include "device_map/max_memory.h"
#include "device_map/module_tree.h"
#include "device_map/module_tree_json.h"
#include "device_map/plan.h"
#include "device_map/plan_check.h"
#include "device_map/sized_tree.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::StatusIs;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A module of one tensor of `bytes` bytes.
std::string Leaf(const std::string& name, int bytes) {
  return absl::StrCat("\"", name, R"(": {"parameters": {"w": {"shape": [)",
                      bytes, R"(], "dtype": "int8"}}})");
}

// Modules "0", "1", .. of so many bytes each.
SizedTree Layers(const std::vector<int>& bytes) {
  std::string children;
  for (size_t i = 0; i < bytes.size(); ++i) {
    absl::StrAppend(&children, i > 0 ? "," : "",
                    Leaf(absl::StrCat(i), bytes[i]));
  }
  return SizedTreeFromJson(absl::StrCat(R"({"children": {)", children, "}}"));
}

// The plan, which must be valid.
Plan PlanOf(const SizedTree& tree, const std::string& max_memory,
            PlanStrategy strategy = PlanStrategy::kSequential) {
  const absl::StatusOr<Plan> plan = PlanDeviceMap(
      tree, {.strategy = strategy, .max_memory = *ParseMaxMemory(max_memory)});
  EXPECT_TRUE(plan.ok()) << plan.status();
  if (!plan.ok()) return {};
  EXPECT_THAT(ProblemsOfPlan(tree, plan->device_map, plan->max_memory),
              IsEmpty());
  return *plan;
}

// The example of README.md.
TEST(PlannerTest, TakesATreeFromJsonToAnExplanation) {
  const std::string json = GoldenText("trees/tiny-LlamaForCausalLM.json");
  absl::StatusOr<ModuleTree> tree = ParseModuleTree(json);
  ASSERT_TRUE(tree.ok()) << tree.status();
  absl::StatusOr<SizedTree> sized = SizedTree::Create(
      *tree, {.bits = 16, .no_split_classes = {"LlamaDecoderLayer"}});
  ASSERT_TRUE(sized.ok()) << sized.status();
  absl::StatusOr<MaxMemory> budgets =
      ParseMaxMemory(R"({"0": "10GiB", "cpu": "30GiB"})");
  ASSERT_TRUE(budgets.ok()) << budgets.status();
  absl::StatusOr<Plan> plan = PlanDeviceMap(*sized, {.max_memory = *budgets});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(DeviceMapJson(plan->device_map), R"({"":0})");
  EXPECT_THAT(ExplainPlan(*sized, *plan),
              ElementsAre(HasSubstr("'model' (57"), HasSubstr("'lm_head'")));
}

TEST(PlannerTest, KnowsTheStrategies) {
  EXPECT_EQ(ParsePlanStrategy("auto"), PlanStrategy::kBalanced);
  EXPECT_EQ(ParsePlanStrategy("balanced"), PlanStrategy::kBalanced);
  EXPECT_EQ(ParsePlanStrategy("balanced_low_0"), PlanStrategy::kBalancedLow0);
  EXPECT_EQ(ParsePlanStrategy("sequential"), PlanStrategy::kSequential);
  EXPECT_EQ(ParsePlanStrategy("cpu"), std::nullopt);
}

// GPU 0 and the CPU keep 10 bytes free for the largest layer to come; GPU 1
// does not.
TEST(PlannerTest, KeepsRoomForTheLargestOffloadedLayer) {
  const Plan plan = PlanOf(Layers({10, 10, 10, 10, 10, 10}),
                           R"({"0": 20, "1": 20, "cpu": 20})");
  EXPECT_EQ(DeviceMapJson(plan.device_map),
            R"({"0":0,"1":1,"2":1,"3":"cpu","4":"disk","5":"disk"})");
  EXPECT_EQ(plan.departs_because, "");
}

TEST(PlannerTest, BalancesGpus) {
  const SizedTree tree = Layers({10, 10, 10, 10, 10, 10, 10, 10});
  const std::string budgets = R"({"0": 100, "1": 100, "cpu": 100})";
  EXPECT_EQ(DeviceMapJson(PlanOf(tree, budgets).device_map), R"({"":0})");
  const Plan balanced = PlanOf(tree, budgets, PlanStrategy::kBalanced);
  EXPECT_EQ(PairsFromMaxMemory(balanced.max_memory).dump(),
            R"([[0,52.0],[1,100.0],["cpu",100.0]])");
  EXPECT_EQ(DeviceMapJson(balanced.device_map),
            R"({"0":0,"1":0,"2":0,"3":0,"4":1,"5":1,"6":1,"7":1})");
}

TEST(PlannerTest, LeavesATenthOfALoneGpuFreeUnlessABudgetWasGiven) {
  const MaxMemory free = *ParseMaxMemory(R"({"0": 1000, "cpu": 1000})");
  const SizedTree tree = Layers({10});
  EXPECT_EQ(
      PairsFromMaxMemory(BalanceMemory(tree, free, {.all_that_is_free = true}))
          .dump(),
      R"([[0,900.0],["cpu",1000.0]])");
  EXPECT_EQ(PairsFromMaxMemory(BalanceMemory(tree, free, {})).dump(),
            R"([[0,1000.0],["cpu",1000.0]])");
}

TEST(PlannerTest, KeepsWholeWhatIsNotToBeSplit) {
  const std::string json =
      absl::StrCat(R"({"children": {"a": {"class": "Block", "children": {)",
                   Leaf("x", 6), ",", Leaf("y", 6), "}},", Leaf("b", 1), "}}");
  const std::string budgets = R"({"0": 12, "cpu": 100})";
  EXPECT_EQ(DeviceMapJson(PlanOf(SizedTreeFromJson(json), budgets).device_map),
            R"({"a.x":0,"a.y":"cpu","b":"cpu"})");
  EXPECT_EQ(DeviceMapJson(
                PlanOf(SizedTreeFromJson(json, {.no_split_classes = {"Block"}}),
                       budgets)
                    .device_map),
            R"({"":"cpu"})");
}

TEST(PlannerTest, CountsTheDtypeThatTheModelIsLoadedAs) {
  const std::string json =
      R"({"children": {"a": {"parameters": {"w": {"shape": [8]}}},
                       "b": {"parameters": {"w": {"shape": [8]}}}}})";
  const std::string budgets = R"({"0": 48, "cpu": 99})";
  EXPECT_EQ(DeviceMapJson(PlanOf(SizedTreeFromJson(json), budgets).device_map),
            R"({"":"cpu"})");
  EXPECT_EQ(
      DeviceMapJson(
          PlanOf(SizedTreeFromJson(json, {.bits = 16}), budgets).device_map),
      R"({"":0})");
}

TEST(PlannerTest, PutsEverythingOnTheDiskIfNothingElseHasRoom) {
  const SizedTree tree = Layers({10, 10});
  for (const char* budgets : {"{}", R"({"cpu": 0})", R"({"0": 0, "cpu": 5})"}) {
    for (const PlanStrategy strategy :
         {PlanStrategy::kSequential, PlanStrategy::kBalanced,
          PlanStrategy::kBalancedLow0}) {
      EXPECT_EQ(DeviceMapJson(PlanOf(tree, budgets, strategy).device_map),
                R"({"":"disk"})");
    }
  }
}

TEST(PlannerTest, OfAModelWithoutTensorsIsAMap) {
  EXPECT_EQ(DeviceMapJson(PlanOf(SizedTreeFromJson(R"({"children": {"a": {},
                "b": {}}})"),
                                 R"({"0": 1})")
                              .device_map),
            R"({"":0})");
  EXPECT_EQ(DeviceMapJson(PlanOf(SizedTreeFromJson("{}"), "{}").device_map),
            "{}");
}

// What follows is where accelerate is wrong: README.md has the list.

// It takes GPU 0's share to be free and gives the whole model to GPU 1.
TEST(PlannerDiffersTest, LowZeroWithNothingOnGpu0IsBalanced) {
  const Plan plan =
      PlanOf(Layers({10, 10, 10, 10, 10, 10, 10, 10}),
             R"({"0": 0, "1": 100, "2": 100})", PlanStrategy::kBalancedLow0);
  EXPECT_EQ(PairsFromMaxMemory(plan.max_memory).dump(),
            R"([[0,0.0],[1,52.0],[2,100.0]])");
  EXPECT_EQ(plan.device_map.front(), (DeviceMapEntry{"0", Device::Gpu(1)}));
  EXPECT_EQ(plan.device_map.back(), (DeviceMapEntry{"7", Device::Gpu(2)}));
}

// KeyError: 0, and KeyError: 1.
TEST(PlannerDiffersTest, LowZeroNeedsNoGpusWithoutGaps) {
  const SizedTree tree = Layers({10, 10, 10, 10});
  EXPECT_EQ(DeviceMapJson(PlanOf(tree, R"({"2": 100, "5": 100})",
                                 PlanStrategy::kBalancedLow0)
                              .device_map),
            R"({"0":2,"1":2,"2":5,"3":5})");
  const Plan plan = PlanOf(tree, R"({"0": 100, "2": 30, "5": 100})",
                           PlanStrategy::kBalancedLow0);
  EXPECT_EQ(DeviceMapJson(plan.device_map), R"({"0":2,"1":2,"2":2,"3":5})");
}

// RuntimeError: torch has no device "disk".
TEST(PlannerDiffersTest, TheDiskMayHaveABudgetInAModeThatBalances) {
  EXPECT_EQ(DeviceMapJson(PlanOf(Layers({10, 10, 10}),
                                 R"({"0": 25, "cpu": 5, "disk": 100})",
                                 PlanStrategy::kBalanced)
                              .device_map),
            R"({"0":0,"1":"disk","2":"disk"})");
}

// It fills the disk up without asking.
TEST(PlannerDiffersTest, TheBudgetOfTheDiskIsKept) {
  const SizedTree tree = Layers({10, 10, 10});
  for (const PlanStrategy strategy :
       {PlanStrategy::kSequential, PlanStrategy::kBalanced}) {
    EXPECT_THAT(
        PlanDeviceMap(
            tree, {.strategy = strategy,
                   .max_memory = *ParseMaxMemory(R"({"0": 15, "disk": 15})")}),
        StatusIs(absl::StatusCode::kResourceExhausted,
                 AllOf(HasSubstr("'1' (10 bytes"), HasSubstr("disk"))));
  }
}

// AttributeError: a tensor has no children to split.
TEST(PlannerDiffersTest, ABufferOfTheModelItselfMayNotFit) {
  const SizedTree tree = SizedTreeFromJson(absl::StrCat(
      R"({"buffers": {"table": {"shape": [9], "dtype": "int8"}},
          "parameters": {"scale": {"shape": [2], "dtype": "int8"}},
          "children": {)",
      Leaf("a", 5), "}}"));
  const Plan plan = PlanOf(tree, R"({"0": 0, "1": 8, "cpu": 50})");
  EXPECT_EQ(DeviceMapJson(plan.device_map),
            R"({"scale":1,"table":"cpu","a":1})");
  EXPECT_THAT(plan.departs_because, HasSubstr("AttributeError"));
}

// It looks for "h" in "head.w" and takes both to be in module h; so "head" goes
// with "w", which it finds in "h.w".
TEST(PlannerDiffersTest, TiesHoldWhereANameIsPartOfAnother) {
  const SizedTree tree = SizedTreeFromJson(
      absl::StrCat(R"({"children": {)", Leaf("h", 6), ",", Leaf("x", 9), ",",
                   Leaf("y", 9), ",", Leaf("head", 6), ",", Leaf("w", 2),
                   R"(}, "tied": [["h.w", "head.w"]]})"));
  const Plan plan = PlanOf(tree, R"({"0": 15, "cpu": 50})");
  EXPECT_EQ(DeviceMapJson(plan.device_map),
            R"({"h":0,"x":"cpu","y":"cpu","head":0,"w":"cpu"})");
  EXPECT_THAT(plan.departs_because,
              HasSubstr("'head.w' is on cpu, but is tied to 'h.w' on 0"));
}

// IndexError: "e" goes with "head", by its lights; "head" then has nobody left
// to go with.
TEST(PlannerDiffersTest, TiesDoNotCrashWhatWasPlacedBefore) {
  const SizedTree tree = SizedTreeFromJson(
      absl::StrCat(R"({"children": {)", Leaf("h", 6), ",", Leaf("e", 9), ",",
                   Leaf("head", 6), ",", Leaf("tail", 6),
                   R"(}, "tied": [["head.w", "tail.w"]]})"));
  const Plan plan = PlanOf(tree, R"({"0": 100, "cpu": 50})");
  EXPECT_EQ(DeviceMapJson(plan.device_map), R"({"":0})");
  EXPECT_THAT(plan.departs_because, HasSubstr("IndexError"));
}

// A module yields each of its tensors once, so that the second name is in no
// entry once the module is divided.
TEST(PlannerDiffersTest, BothNamesWithinAModuleAreCovered) {
  const SizedTree tree = SizedTreeFromJson(absl::StrCat(
      R"({"children": {"a": {"parameters": {
            "v": {"shape": [4], "dtype": "int8"},
            "w": {"shape": [4], "dtype": "int8"}},
          "children": {)",
      Leaf("x", 9), "}},", Leaf("b", 3), R"(}, "tied": [["a.v", "a.w"]]})"));
  const Plan plan = PlanOf(tree, R"({"0": 14, "1": 50})");
  EXPECT_EQ(DeviceMapJson(plan.device_map),
            R"({"a.v":0,"a.w":0,"a.x":1,"b":1})");
  EXPECT_THAT(plan.departs_because, HasSubstr("a.w"));
}

// It leaves the buffer of a divided module out, and gets it back when the parts
// turn out to be on one device.
TEST(PlannerDiffersTest, BuffersOfDividedModulesCount) {
  const SizedTree tree = SizedTreeFromJson(absl::StrCat(
      R"({"children": {"a": {"buffers": {"mask": {"shape": [50],
          "dtype": "int8"}}, "children": {)",
      Leaf("x", 6), ",", Leaf("y", 6), "}},", Leaf("b", 3), "}}"));
  const Plan plan = PlanOf(tree, R"({"0": 19, "1": 70})");
  EXPECT_EQ(DeviceMapJson(plan.device_map), R"({"":1})");
  EXPECT_THAT(plan.departs_because, HasSubstr("0 holds 65 bytes"));
}

TEST(PlannerTest, ExplainsWhyAndWhatWouldFit) {
  const SizedTree tree = Layers({10, 10, 10});
  const Plan plan = PlanOf(tree, R"({"0": 25, "cpu": 100})");
  EXPECT_THAT(
      ExplainPlan(tree, plan),
      ElementsAre(
          "'0' (10 B) goes to 0: 0 B of 25 B used and 10 B kept for the "
          "largest layer to come",
          "'1' (10 B) does not fit 0: 10 B of 25 B used and 10 B kept for the "
          "largest layer to come and is not to be divided: the next device; it "
          "would be on 0 with 5 B more there",
          "'1' (10 B) goes to cpu: 0 B of 100 B used and 10 B kept for the "
          "largest layer to come",
          "'2' (10 B) goes to cpu: 10 B of 100 B used"));
}

// What an explanation promises: with so much more the module is there.
TEST(PlannerTest, ABudgetRaisedAsExplainedSuffices) {
  const SizedTree tree = Layers({7, 12, 5, 9, 4, 11});
  for (int budget = 0; budget < 60; ++budget) {
    const Plan plan = PlanOf(
        tree, absl::StrCat(R"({"0": )", budget, R"(, "1": 20, "cpu": 99})"));
    for (const PlanStep& step : plan.steps) {
      if (step.kind != PlanStep::Kind::kNextDevice) continue;
      if (step.device != Device::Gpu(0)) continue;
      const double needed = step.used_before + step.bytes + step.kept_free;
      ASSERT_GT(needed, budget);
      const Plan raised = PlanOf(
          tree, absl::StrCat(R"({"0": )", needed, R"(, "1": 20, "cpu": 99})"));
      EXPECT_EQ(DevicesOfItems(tree, raised.device_map)[step.item],
                Device::Gpu(0));
    }
  }
}

TEST(BytesPerDeviceTest, ListsBudgetsAndWhatIsUsed) {
  const SizedTree tree = Layers({10, 20, 30});
  const std::vector<MemoryBudget> held =
      BytesPerDevice(tree, *ParseDeviceMap(R"({"": "disk", "0": 1})"),
                     *ParseMaxMemory(R"({"cpu": 5, "1": 50})"));
  EXPECT_EQ(PairsFromMaxMemory(held).dump(),
            R"([[1,10.0],["cpu",0.0],["disk",50.0]])");
}

}  // namespace
}  // namespace pretrained
