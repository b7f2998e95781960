#include "device_map/module_tree.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::testing::ElementsAre;

ModuleNode SmallModel() {
  ModuleNode embed{.name = "embed",
                   .class_name = "Embedding",
                   .parameters = {{.name = "weight", .shape = {5, 4}}}};
  ModuleNode norm{.name = "norm",
                  .class_name = "Norm",
                  .parameters = {{.name = "weight", .shape = {4}}},
                  .buffers = {{.name = "mean", .shape = {4}},
                              {.name = "ids",
                               .shape = {1, 7},
                               .dtype = Dtype::kInt64,
                               .persistent = false}}};
  ModuleNode block{.name = "block", .class_name = "Block", .children = {norm}};
  return {.class_name = "Model", .children = {embed, block}};
}

TEST(ModuleTreeTest, VisitsModulesInPreOrder) {
  std::vector<std::string> seen;
  ForEachModule(SmallModel(),
                [&](const std::string& path, const ModuleNode& node) {
                  seen.push_back(path + ":" + node.class_name);
                });
  EXPECT_THAT(seen, ElementsAre(":Model", "embed:Embedding", "block:Block",
                                "block.norm:Norm"));
}

TEST(ModuleTreeTest, VisitsParametersAndBuffersByFullName) {
  std::vector<std::string> seen;
  const auto note = [&](const std::string& name, const TensorSpec&,
                        const ModuleNode&) { seen.push_back(name); };
  ForEachParameter(SmallModel(), note);
  ForEachBuffer(SmallModel(), note);
  EXPECT_THAT(seen, ElementsAre("embed.weight", "block.norm.weight",
                                "block.norm.mean", "block.norm.ids"));
}

TEST(ModuleTreeTest, StateDictLeavesOutBuffersThatAreNotPersistent) {
  std::vector<std::string> names;
  for (const StateDictEntry& entry : StateDictOf(SmallModel())) {
    names.push_back(entry.name);
  }
  EXPECT_THAT(names, ElementsAre("embed.weight", "block.norm.weight",
                                 "block.norm.mean"));
}

TEST(ModuleTreeTest, SizesFollowShapeAndDtype) {
  EXPECT_EQ(TensorSpec{.shape = {}}.num_elements(), 1);
  EXPECT_EQ((TensorSpec{.shape = {3, 0, 2}}.nbytes()), 0);
  EXPECT_EQ((TensorSpec{.shape = {3, 2}, .dtype = Dtype::kBfloat16}.nbytes()),
            12);
}

TEST(ModuleTreeTest, FindsChildrenByName) {
  const ModuleNode model = SmallModel();
  EXPECT_EQ(model.child("block").child("norm").class_name, "Norm");
  EXPECT_EQ(model.find_child("absent"), nullptr);
  EXPECT_DEATH(model.child("absent"), "Model has no child absent");
}

}  // namespace
}  // namespace pretrained
