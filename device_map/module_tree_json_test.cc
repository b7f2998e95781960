#include "device_map/module_tree_json.h"

#include <string>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "device_map/module_tree.h"
#include "dtypes/dtype.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kNested[] =
    R"({"class":"Model","buffers":{"ids":{"shape":[7],"dtype":"int64",)"
    R"("persistent":false}},"children":{"embed":{"class":"Embedding",)"
    R"("parameters":{"weight":{"shape":[5,4],"dtype":"float16"}}},)"
    R"("head":{"class":"Linear","parameters":{"weight":{"shape":[5,4],)"
    R"("dtype":"float16"}}}},"tied":[["embed.weight","head.weight"]]})";

TEST(ModuleTreeJsonTest, ReadsModulesWithinModules) {
  const absl::StatusOr<ModuleTree> tree = ParseModuleTree(kNested);
  ASSERT_TRUE(tree.ok()) << tree.status();
  EXPECT_EQ(tree->root.class_name, "Model");
  EXPECT_FALSE(tree->root.buffers[0].persistent);
  EXPECT_EQ(tree->root.buffers[0].dtype, Dtype::kInt64);
  const ModuleNode& embed = tree->root.child("embed");
  EXPECT_EQ(embed.class_name, "Embedding");
  EXPECT_THAT(embed.parameters[0].shape, ElementsAre(5, 4));
  EXPECT_EQ(embed.parameters[0].dtype, Dtype::kFloat16);
  EXPECT_EQ(tree->root.children[1].name, "head");
  EXPECT_THAT(tree->tied,
              ElementsAre(ElementsAre("embed.weight", "head.weight")));
}

TEST(ModuleTreeJsonTest, WritesWhatItReads) {
  EXPECT_EQ(ModuleTreeJson(*ParseModuleTree(kNested)), kNested);
}

TEST(ModuleTreeJsonTest, ReadsATableOfModules) {
  const absl::StatusOr<ModuleTree> tree = ParseModuleTree(R"({
      "root": 1, "nodes": [
        {"class": "Linear", "parameters": {"weight": [[4, 2], "float32"]}},
        {"class": "Model", "buffers": {"mask": [[], "bool"]},
         "children": {"b": 0, "a": 0}}]})");
  ASSERT_TRUE(tree.ok()) << tree.status();
  EXPECT_EQ(
      ModuleTreeJson(*tree),
      R"({"class":"Model","buffers":{"mask":{"shape":[],"dtype":"bool"}},)"
      R"("children":{"b":{"class":"Linear","parameters":{"weight":)"
      R"({"shape":[4,2],"dtype":"float32"}}},"a":{"class":"Linear",)"
      R"("parameters":{"weight":{"shape":[4,2],"dtype":"float32"}}}}})");
}

struct Bad {
  const char* json;
  const char* message;
};

constexpr Bad kBad[] = {
    {"", "not a JSON object"},
    {"[1]", "not a JSON object"},
    {R"({"children": []})", "'(root)': 'children' is not an object"},
    {R"({"children": {"a": 3}})", "'a': a module is a JSON object"},
    {R"({"class": 3})", "'class' is not text"},
    {R"({"children": {"a": {"parameters": {"w": {}}}}})", "'a.w': a tensor is"},
    {R"({"parameters": {"w": {"shape": [1.5]}}})", "a shape is of numbers"},
    {R"({"parameters": {"w": {"shape": [1], "dtype": "f32"}}})", "'f32'"},
    {R"({"buffers": {"w": {"shape": [1], "persistent": 1}}})", "true or false"},
    {R"({"tied": ["a"]})", "list of lists"},
    {R"({"tied": [[1]]})", "list of lists"},
    {R"({"nodes": []})", "'root' is no index"},
    {R"({"root": 1, "nodes": [{}]})", "'root' is no index"},
    {R"({"root": 0, "nodes": [{"children": {"a": 1}}]})", "child 'a' is no"},
    {R"({"root": 0, "nodes": [{"children": {"a": 0}}]})", "more than 200"},
};

TEST(ModuleTreeJsonTest, SaysWhatIsWrong) {
  for (const Bad& bad : kBad) {
    SCOPED_TRACE(bad.json);
    EXPECT_THAT(
        ParseModuleTree(bad.json),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(bad.message)));
  }
}

TEST(ModuleTreeJsonTest, RefusesTreesThatNeverEnd) {
  std::string deep;
  for (int i = 0; i < 300; ++i) deep += R"({"children":{"a":)";
  EXPECT_THAT(
      ParseModuleTree(deep + "{}" + std::string(600, '}')),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("more than 200")));
  // Thirty nodes that stand for 2^30 modules.
  std::string wide = R"({"root":0,"nodes":[)";
  for (int i = 1; i < 30; ++i) {
    absl::StrAppend(&wide, R"({"children":{"a":)", i, R"(,"b":)", i, "}},");
  }
  EXPECT_THAT(ParseModuleTree(wide + "{}]}"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("more than 2^20")));
}

}  // namespace
}  // namespace pretrained
