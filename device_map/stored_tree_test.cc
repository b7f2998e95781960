#include "device_map/stored_tree.h"

#include <string>
#include <vector>

#include "device_map/module_tree.h"
#include "dtypes/dtype.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::testing::ElementsAre;

TEST(StoredTreeTest, HasAModuleForEachPartOfAName) {
  const ModuleTree tree = TreeOfStoredTensors({
      {"head.weight", {2, 3}, Dtype::kFloat16},
      {"layers.10.w", {1}},
      {"layers.2.w", {1}},
      {"layers.2.sub.b", {4}},
      {"scale", {}},
      {"layers.10.v", {1}},
  });
  std::vector<std::string> modules;
  ForEachModule(tree.root, [&](const std::string& path, const ModuleNode&) {
    modules.push_back(path);
  });
  EXPECT_THAT(modules, ElementsAre("", "head", "layers", "layers.2",
                                   "layers.2.sub", "layers.10"));
  std::vector<std::string> parameters;
  ForEachParameter(tree.root,
                   [&](const std::string& name, const TensorSpec&,
                       const ModuleNode&) { parameters.push_back(name); });
  EXPECT_THAT(parameters,
              ElementsAre("scale", "head.weight", "layers.2.w",
                          "layers.2.sub.b", "layers.10.w", "layers.10.v"));
  EXPECT_EQ(tree.root.child("head").parameters[0].nbytes(), 12);
}

TEST(StoredTreeTest, KeepsTheOrderOfModulesThatAreNotNumbered) {
  const ModuleTree tree =
      TreeOfStoredTensors({{"b.w", {1}}, {"10.w", {1}}, {"2.w", {1}}});
  std::vector<std::string> names;
  for (const ModuleNode& child : tree.root.children) {
    names.push_back(child.name);
  }
  EXPECT_THAT(names, ElementsAre("b", "10", "2"));
}

TEST(StoredTreeTest, OfNothingIsOneEmptyModule) {
  const ModuleTree tree = TreeOfStoredTensors({});
  EXPECT_TRUE(tree.root.children.empty());
  EXPECT_TRUE(tree.root.parameters.empty());
}

}  // namespace
}  // namespace pretrained
