#include "modeling/parameter_counts.h"

#include <cstdint>
#include <string>
#include <vector>

#include "device_map/module_tree.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/layout_nodes.h"

namespace pretrained {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// An embedding of 10 x 4, tied to the head's weight, and the head's bias; a
// bool buffer of 3, a half-precision one of 2, an int64 one no state dict has.
ModuleTree TiedTree() {
  ModuleTree tree;
  tree.root.class_name = "Model";
  tree.root.children = {EmbeddingNode("embed", 10, 4),
                        LinearNode("head", 4, 10)};
  tree.root.buffers = {
      {.name = "flags", .shape = {3}, .dtype = Dtype::kBool},
      {.name = "scale", .shape = {2}, .dtype = Dtype::kFloat16},
      {.name = "ids",
       .shape = {5},
       .dtype = Dtype::kInt64,
       .persistent = false}};
  tree.tied = {{"embed.weight", "head.weight"}};
  return tree;
}

std::vector<std::string> NamesOf(const std::vector<CountedTensor>& tensors) {
  std::vector<std::string> names;
  for (const CountedTensor& tensor : tensors) names.push_back(tensor.name);
  return names;
}

TEST(ParameterCountsTest, CountsATiedParameterOnceUnderItsFirstName) {
  const std::vector<CountedTensor> tensors = CountedTensorsOf(TiedTree());
  EXPECT_THAT(NamesOf(tensors), ElementsAre("embed.weight", "head.bias",
                                            "flags", "scale", "ids"));
  EXPECT_EQ(CountParameters(tensors), 40 + 10);
  ModuleTree untied = TiedTree();
  untied.tied.clear();
  EXPECT_EQ(CountParameters(CountedTensorsOf(untied)), 40 + 40 + 10);
}

TEST(ParameterCountsTest, EmbeddingsAreTheWeightsOfEmbeddingModules) {
  const std::vector<CountedTensor> tensors = CountedTensorsOf(TiedTree());
  EXPECT_EQ(CountParameters(tensors, {.exclude_embeddings = true}), 10);
  for (const CountedTensor& tensor : tensors) {
    EXPECT_EQ(tensor.is_embedding_weight, tensor.name == "embed.weight");
  }
  EXPECT_TRUE(IsEmbeddingWeight("OPTLearnedPositionalEmbedding", "weight"));
  EXPECT_FALSE(IsEmbeddingWeight("BertEmbeddings", "weight"));
  EXPECT_FALSE(IsEmbeddingWeight("Embedding", "bias"));
}

TEST(ParameterCountsTest, FrozenParametersAreNotTrainable) {
  std::vector<CountedTensor> tensors = CountedTensorsOf(TiedTree());
  EXPECT_EQ(CountParameters(tensors, {.only_trainable = true}), 50);
  tensors[0].requires_grad = false;
  EXPECT_EQ(CountParameters(tensors, {.only_trainable = true}), 10);
  EXPECT_EQ(CountParameters(tensors), 50);
  EXPECT_EQ(CountParameters(
                tensors, {.only_trainable = true, .exclude_embeddings = true}),
            10);
}

TEST(ParameterCountsTest, FootprintCountsBuffersBytesAndTiesOnce) {
  const std::vector<CountedTensor> tensors = CountedTensorsOf(TiedTree());
  EXPECT_EQ(MemoryFootprintBytes(tensors, /*with_buffers=*/false), 50 * 4);
  EXPECT_EQ(MemoryFootprintBytes(tensors), 50 * 4 + 3 * 1 + 2 * 2 + 5 * 8);
}

TEST(ParameterCountsTest, NothingCountsAsNothing) {
  EXPECT_THAT(CountedTensorsOf(ModuleTree()), IsEmpty());
  EXPECT_EQ(CountParameters({}), 0);
  EXPECT_EQ(MemoryFootprintBytes({}), 0);
}

// bloom-176b has 176 thousand million parameters: more than 32 bits count.
TEST(ParameterCountsTest, CountsBeyond32Bits) {
  ModuleTree tree;
  tree.root.children = {EmbeddingNode("a", int64_t{1} << 31, 80)};
  EXPECT_EQ(CountParameters(CountedTensorsOf(tree)), int64_t{80} << 31);
  EXPECT_EQ(MemoryFootprintBytes(CountedTensorsOf(tree)), int64_t{320} << 31);
}

}  // namespace
}  // namespace pretrained
