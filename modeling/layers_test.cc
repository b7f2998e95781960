#include "modeling/layers.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "ATen/ATen.h"
#include "absl/status/status_matchers.h"
#include "device_map/module_tree.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/layout_nodes.h"
#include "modeling/module.h"
#include "modeling/tensor_testutil.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;

const ModuleOptions kOnCpu{.device = at::kCPU};

// Numbers that differ from one another.
at::Tensor Values(at::IntArrayRef shape, double start) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return (at::arange(count) * 0.37 + start).sin().reshape(shape);
}

TEST(LinearTest, IsXTimesWeightTransposedPlusBias) {
  auto linear = std::make_shared<Linear>(LinearNode("x", 4, 3), kOnCpu);
  const at::Tensor weight = Values({3, 4}, 1);
  const at::Tensor bias = Values({3}, 2);
  ASSERT_THAT(linear->ReplaceTensors({{"weight", weight}, {"bias", bias}}),
              IsOk());
  const at::Tensor x = Values({2, 5, 4}, 3);
  EXPECT_THAT((*linear)(x), IsCloseTo(at::matmul(x, weight.t()) + bias, 1e-6));
}

TEST(LinearTest, MayHaveNoBias) {
  auto linear =
      std::make_shared<Linear>(LinearNode("x", 4, 3, /*bias=*/false), kOnCpu);
  const at::Tensor weight = Values({3, 4}, 1);
  ASSERT_THAT(linear->ReplaceTensor("weight", weight), IsOk());
  const at::Tensor x = Values({5, 4}, 3);
  EXPECT_THAT((*linear)(x), IsCloseTo(at::matmul(x, weight.t()), 1e-6));
}

TEST(EmbeddingTest, IsTheRowOfEachId) {
  auto embedding =
      std::make_shared<Embedding>(EmbeddingNode("x", 5, 2), kOnCpu);
  const at::Tensor weight = Values({5, 2}, 0);
  ASSERT_THAT(embedding->ReplaceTensor("weight", weight), IsOk());
  for (const at::ScalarType type : {at::kLong, at::kInt}) {
    const at::Tensor ids = at::tensor({4, 0, 0, 2}, at::dtype(type));
    const at::Tensor want = weight.index_select(0, ids);
    EXPECT_TRUE(
        at::equal((*embedding)(ids.reshape({2, 2})), want.reshape({2, 2, 2})));
  }
}

TEST(EmbeddingTest, ThePaddingRowGetsNoGradient) {
  for (const int64_t padding_idx : {1, -4}) {  // Of five rows: the same one.
    auto embedding = std::make_shared<Embedding>(EmbeddingNode("x", 5, 2),
                                                 kOnCpu, padding_idx);
    EXPECT_EQ(embedding->padding_idx(), 1);
    ASSERT_THAT(embedding->ReplaceTensor("weight", Values({5, 2}, 0)), IsOk());
    (*embedding)(at::tensor({0, 1, 1}, at::dtype(at::kLong))).sum().backward();
    const at::Tensor gradient = embedding->parameter("weight").grad();
    EXPECT_TRUE(at::equal(gradient.select(0, 0), at::ones({2})));
    EXPECT_TRUE(at::equal(gradient.select(0, 1), at::zeros({2})));
  }
  auto plain = std::make_shared<Embedding>(EmbeddingNode("x", 5, 2), kOnCpu);
  EXPECT_EQ(plain->padding_idx(), std::nullopt);
}

TEST(LayerNormTest, CentresAndScalesTheLastDimension) {
  constexpr double kEps = 0.5;  // Large enough to show.
  auto norm = std::make_shared<LayerNorm>(LayerNormNode("x", 4), kOnCpu, kEps);
  const at::Tensor weight = Values({4}, 1);
  const at::Tensor bias = Values({4}, 2);
  ASSERT_THAT(norm->ReplaceTensors({{"weight", weight}, {"bias", bias}}),
              IsOk());
  const at::Tensor x = Values({3, 4}, 5);
  const at::Tensor mean = x.mean(-1, /*keepdim=*/true);
  const at::Tensor variance = (x - mean).square().mean(-1, /*keepdim=*/true);
  EXPECT_THAT(
      (*norm)(x),
      IsCloseTo((x - mean) / (variance + kEps).sqrt() * weight + bias, 1e-6));
}

TEST(DropoutTest, DoesNothingInEvalMode) {
  auto dropout = std::make_shared<Dropout>(DropoutNode("x"), kOnCpu, 0.5);
  dropout->eval();
  const at::Tensor x = at::ones({1000});
  EXPECT_TRUE((*dropout)(x).is_same(x));
}

TEST(DropoutTest, DropsAndScalesInTraining) {
  auto dropout = std::make_shared<Dropout>(DropoutNode("x"), kOnCpu, 0.25);
  const at::Tensor y = (*dropout)(at::ones({4000}));
  const at::Tensor kept = y.masked_select(y.ne(0));
  EXPECT_NEAR(static_cast<double>(kept.numel()) / 4000, 0.75, 0.05);
  EXPECT_THAT(kept, IsCloseTo(at::full_like(kept, 1 / 0.75), 1e-6));
}

TEST(ActivationTest, IsTheFunctionOfItsName) {
  auto relu =
      std::make_shared<Activation>(ActivationNode("x", "relu"), kOnCpu, "relu");
  EXPECT_EQ(relu->class_name(), "ReLU");
  const at::Tensor x = Values({7}, 0);
  EXPECT_TRUE(at::equal((*relu)(x), x.clamp_min(0)));
}

TEST(LayersTest, StandOnMetaAndInAnyDtype) {
  const ModuleOptions half_on_meta{.dtype = at::kHalf};
  auto linear = std::make_shared<Linear>(LinearNode("x", 4, 3), half_on_meta);
  const at::Tensor y =
      (*linear)(at::empty({2, 4}, at::dtype(at::kHalf).device(at::kMeta)));
  EXPECT_TRUE(y.is_meta());
  EXPECT_EQ(y.sizes(), at::IntArrayRef({2, 3}));
  EXPECT_EQ(y.scalar_type(), at::kHalf);
}

}  // namespace
}  // namespace pretrained
