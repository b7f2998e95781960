#include "modeling/layout_nodes.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "device_map/module_tree.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/activation_names.h"

namespace pretrained {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// "weight[2,3] bias[2]".
std::vector<std::string> ParametersOf(const ModuleNode& node) {
  std::vector<std::string> shown;
  for (const TensorSpec& spec : node.parameters) {
    EXPECT_EQ(spec.dtype, Dtype::kFloat32);
    shown.push_back(
        absl::StrCat(spec.name, "[", absl::StrJoin(spec.shape, ","), "]"));
  }
  EXPECT_THAT(node.buffers, IsEmpty());
  EXPECT_THAT(node.children, IsEmpty());
  return shown;
}

TEST(LayoutNodesTest, LinearHasOutRowsAndInColumns) {
  const ModuleNode node = LinearNode("query", 32, 24);
  EXPECT_EQ(node.name, "query");
  EXPECT_EQ(node.class_name, "Linear");
  EXPECT_THAT(ParametersOf(node), ElementsAre("weight[24,32]", "bias[24]"));
  EXPECT_THAT(ParametersOf(LinearNode("x", 32, 24, /*bias=*/false)),
              ElementsAre("weight[24,32]"));
}

TEST(LayoutNodesTest, EmbeddingHasARowForEach) {
  const ModuleNode node = EmbeddingNode("word_embeddings", 120, 32);
  EXPECT_EQ(node.name, "word_embeddings");
  EXPECT_EQ(node.class_name, "Embedding");
  EXPECT_THAT(ParametersOf(node), ElementsAre("weight[120,32]"));
}

TEST(LayoutNodesTest, LayerNormHasWeightThenBias) {
  const ModuleNode node = LayerNormNode("LayerNorm", 32);
  EXPECT_EQ(node.name, "LayerNorm");
  EXPECT_EQ(node.class_name, "LayerNorm");
  EXPECT_THAT(ParametersOf(node), ElementsAre("weight[32]", "bias[32]"));
  const ModuleNode plain =
      LayerNormNode("norm", 32, /*elementwise_affine=*/false);
  EXPECT_EQ(plain.class_name, "LayerNorm");
  EXPECT_THAT(ParametersOf(plain), IsEmpty());
}

TEST(LayoutNodesTest, RmsNormHasAWeightAndTheFamilysName) {
  const ModuleNode node = RmsNormNode("norm", "LlamaRMSNorm", 32);
  EXPECT_EQ(node.name, "norm");
  EXPECT_EQ(node.class_name, "LlamaRMSNorm");
  EXPECT_THAT(ParametersOf(node), ElementsAre("weight[32]"));
}

TEST(LayoutNodesTest, Conv1DHasInRowsAndOutColumns) {
  const ModuleNode node = Conv1DNode("c_attn", 32, 96);
  EXPECT_EQ(node.name, "c_attn");
  EXPECT_EQ(node.class_name, "Conv1D");
  EXPECT_THAT(ParametersOf(node), ElementsAre("weight[32,96]", "bias[96]"));
}

TEST(LayoutNodesTest, DropoutAndActivationsHoldNothing) {
  EXPECT_EQ(DropoutNode("dropout").class_name, "Dropout");
  EXPECT_THAT(ParametersOf(DropoutNode("dropout")), IsEmpty());
  for (const ActivationName& activation : ActivationNames()) {
    const ModuleNode node = ActivationNode("act", std::string(activation.name));
    EXPECT_EQ(node.name, "act");
    EXPECT_EQ(node.class_name, activation.class_name);
    EXPECT_THAT(ParametersOf(node), IsEmpty());
  }
}

TEST(LayoutNodesDeathTest, AnActivationMustBeAKnownOne) {
  EXPECT_DEATH(ActivationNode("act", "swoosh"), "swoosh");
}

}  // namespace
}  // namespace pretrained
