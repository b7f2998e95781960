#include "device_map/sized_tree.h"

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "device_map/golden_testutil.h"
#include "device_map/module_tree.h"
#include "device_map/module_tree_json.h"
#include "dtypes/dtype.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using Json = nlohmann::ordered_json;
using ::absl_testing::IsOkAndHolds;
using ::absl_testing::StatusIs;
using ::testing::HasSubstr;

// accelerate's sizes hold the modules and tensors that count, and nothing else.
TEST(SizedTreeTest, HasTheSizesThatAccelerateComputes) {
  for (const std::string& name : GoldenTreeNames()) {
    const ModuleTree tree = GoldenTree(name);
    const Json golden = GoldenJson("trees/" + name + ".json");
    for (const auto& [dtype, sizes] : golden["compute_module_sizes"].items()) {
      SCOPED_TRACE(name + " " + dtype);
      SizeOptions options;
      if (dtype != "None") options.bits = *ElementBits(dtype);
      const absl::StatusOr<SizedTree> sized = SizedTree::Create(tree, options);
      ASSERT_TRUE(sized.ok()) << sized.status();
      size_t counted = 0;
      for (const TreeItem& item : sized->items()) counted += item.has_tensors;
      const bool is_sampled = sizes.size() < counted;
      for (const auto& [item, bytes] : sizes.items()) {
        const std::optional<int> found = sized->Find(item);
        ASSERT_TRUE(found.has_value()) << item;
        EXPECT_TRUE(sized->item(*found).has_tensors) << item;
        EXPECT_EQ(sized->item(*found).bytes, bytes.get<double>()) << item;
      }
      EXPECT_TRUE(is_sampled || sizes.size() == counted);
    }
  }
}

TEST(SizedTreeTest, HasTheLargestLayersThatAccelerateFinds) {
  int raised = 0;
  for (const std::string& name : GoldenTreeNames()) {
    SCOPED_TRACE(name);
    const Json golden = GoldenJson("trees/" + name + ".json");
    SizeOptions options;
    // Of the two trees that no model has it is no attribute that accelerate
    // would see.
    if (!golden["_no_split_modules"].is_null() && !name.starts_with("mixed")) {
      options.no_split_classes =
          golden["_no_split_modules"].get<std::vector<std::string>>();
    }
    const absl::StatusOr<SizedTree> sized =
        SizedTree::Create(GoldenTree(name), options);
    ASSERT_TRUE(sized.ok()) << sized.status();
    const Json& want = golden["calculate_maximum_sizes"];
    if (want["total"].is_null()) {  // BERT's two: accelerate raises.
      ++raised;
      continue;
    }
    EXPECT_EQ(sized->root().bytes, want["total"].get<double>());
    const LargestLayer largest = FindLargestLayer(*sized);
    EXPECT_EQ(largest.bytes, want["largest_layer"].get<double>());
    ASSERT_EQ(largest.layers.size(), want["number_of_names"].get<size_t>());
    for (size_t i = 0; i < want["names"].size(); ++i) {
      EXPECT_EQ(sized->item(largest.layers[i]).name, want["names"][i]);
    }
  }
  EXPECT_EQ(raised, 2);
}

TEST(SizedTreeTest, SizesOfElementsFollowDtypes) {
  EXPECT_THAT(ElementBits("float32"), IsOkAndHolds(32));
  EXPECT_THAT(ElementBits("torch.bfloat16"), IsOkAndHolds(16));
  EXPECT_THAT(ElementBits("float8_e5m2"), IsOkAndHolds(8));
  EXPECT_THAT(ElementBits("fp8"), IsOkAndHolds(8));
  EXPECT_THAT(ElementBits("int4"), IsOkAndHolds(4));
  EXPECT_THAT(ElementBits("bool"), IsOkAndHolds(1));
  for (const char* name : {"auto", "int5", ""}) {
    EXPECT_THAT(ElementBits(name), StatusIs(absl::StatusCode::kInvalidArgument))
        << name;
  }
}

// The tensor of a tie counts where its first name is; a dtype of one's own
// counts even if it is larger than that of the model.
TEST(SizedTreeTest, CountsTiesOnceAndSpecialDtypes) {
  const std::string json = R"({"parameters": {"s": {"shape": [8]}},
      "children": {"a": {"parameters": {"w": {"shape": [2, 4]}}},
                   "b": {"parameters": {"w": {"shape": [2, 4]}}}},
      "tied": [["b.w", "a.w"], ["s"]]})";
  const SizedTree tree =
      SizedTreeFromJson(json, {.bits = 4, .special_bits = {{"s", 64}}});
  EXPECT_EQ(tree.item(*tree.Find("a")).bytes, 4);
  EXPECT_EQ(tree.item(*tree.Find("b")).bytes, 0);
  EXPECT_FALSE(tree.item(*tree.Find("b")).has_tensors);
  EXPECT_EQ(tree.item(*tree.Find("s")).bytes, 64);
  EXPECT_EQ(tree.root().bytes, 68);
  ASSERT_EQ(tree.ties().size(), 1);
  EXPECT_EQ(tree.item(tree.ties()[0][0]).name, "a.w");
}

struct Bad {
  const char* json;
  const char* message;
};

constexpr Bad kBad[] = {
    {R"({"parameters": {"a.b": {"shape": []}}})", "has no dot"},
    {R"({"children": {"": {}}})", "is not empty"},
    {R"({"parameters": {"a": {"shape": []}}, "children": {"a": {}}})",
     "'a' occurs twice"},
    {R"({"parameters": {"a": {"shape": [-1]}}})", "negative"},
    {R"({"parameters": {"a": {"shape": [0, -1]}}})", "negative"},
    {R"({"parameters": {"a": {"shape": [4294967296, 4294967296]}}})", "2^48"},
    {R"({"tied": [["x", "y"]]})", "'x' is tied, but is no parameter"},
    {R"({"parameters": {"a": {"shape": []}, "b": {"shape": []}},
         "tied": [["a", "b"], ["b", "a"]]})",
     "named twice among the tied"},
};

TEST(SizedTreeTest, SaysWhatIsWrongWithATree) {
  for (const Bad& bad : kBad) {
    SCOPED_TRACE(bad.json);
    const absl::StatusOr<ModuleTree> tree = ParseModuleTree(bad.json);
    ASSERT_TRUE(tree.ok()) << tree.status();
    EXPECT_THAT(
        SizedTree::Create(*tree, {}),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(bad.message)));
  }
  const SizedTree empty =
      SizedTreeFromJson(R"({"parameters": {"a": {"shape": [0, 9]}}})");
  EXPECT_EQ(empty.root().bytes, 0);
}

TEST(SizedTreeTest, KnowsTheNearestName) {
  const SizedTree tree = SizedTreeFromJson(
      R"({"children": {"model": {"children": {"layers": {}, "norm": {}}},
                       "lm_head": {}}})");
  EXPECT_EQ(tree.NearestName("model.layer"), "model.layers");
  EXPECT_EQ(tree.NearestName("layers"), "model.layers");
  EXPECT_EQ(tree.NearestName("base.lm_head"), "lm_head");
  EXPECT_EQ(tree.NearestName("something.else"), std::nullopt);
}

}  // namespace
}  // namespace pretrained
