#include "modeling/layers.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

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
  auto plain = std::make_shared<LayerNorm>(
      LayerNormNode("x", 4, /*elementwise_affine=*/false), kOnCpu, kEps);
  EXPECT_THAT((*plain)(x),
              IsCloseTo((x - mean) / (variance + kEps).sqrt(), 1e-6));
}

// y of `norm` in the dtype of the result, given weight and x of theirs.
at::Tensor Normed(RmsNorm::ResultDtype result_dtype, double eps,
                  const at::Tensor& weight, const at::Tensor& x) {
  auto norm = std::make_shared<RmsNorm>(
      RmsNormNode("x", "LlamaRMSNorm", weight.size(0)), kOnCpu, eps,
      result_dtype);
  EXPECT_THAT(norm->ReplaceTensor("weight", weight), IsOk());
  return (*norm)(x).detach();
}

TEST(RmsNormTest, ScalesTheLastDimensionByItsRootMeanSquare) {
  constexpr double kEps = 0.5;  // Large enough to show.
  const at::Tensor weight = Values({4}, 1);
  const at::Tensor x = Values({2, 3, 4}, 5) + 2;
  const at::Tensor mean_square = x.square().mean(-1, /*keepdim=*/true);
  const at::Tensor want = x / (mean_square + kEps).sqrt() * weight;
  for (const auto result_dtype :
       {RmsNorm::ResultDtype::kOfInput, RmsNorm::ResultDtype::kOfWeight}) {
    EXPECT_THAT(Normed(result_dtype, kEps, weight, x), IsCloseTo(want, 1e-6));
  }
}

// Squares of 300 are beyond float16.
TEST(RmsNormTest, SquaresAreOfFloat32) {
  const at::Tensor weight = at::ones({8}, at::kHalf);
  const at::Tensor x = at::full({1, 8}, 300, at::dtype(at::kHalf));
  for (const auto result_dtype :
       {RmsNorm::ResultDtype::kOfInput, RmsNorm::ResultDtype::kOfWeight}) {
    EXPECT_THAT(Normed(result_dtype, 1e-6, weight, x),
                IsCloseTo(at::ones({1, 8}), 1e-3));
  }
}

TEST(RmsNormTest, TheResultHasTheDtypeThatTheFamilyGivesIt) {
  struct Case {
    at::ScalarType weight, x, of_input, of_weight;
  };
  for (const Case& each :
       {Case{at::kHalf, at::kHalf, at::kHalf, at::kHalf},
        {at::kHalf, at::kFloat, at::kFloat, at::kHalf},
        {at::kBFloat16, at::kFloat, at::kFloat, at::kBFloat16},
        {at::kFloat, at::kHalf, at::kFloat, at::kFloat}}) {
    const at::Tensor weight = at::ones({4}, each.weight);
    const at::Tensor x = at::ones({2, 4}, each.x);
    EXPECT_EQ(
        Normed(RmsNorm::ResultDtype::kOfInput, 1e-6, weight, x).scalar_type(),
        each.of_input);
    EXPECT_EQ(
        Normed(RmsNorm::ResultDtype::kOfWeight, 1e-6, weight, x).scalar_type(),
        each.of_weight);
  }
}

// LLaMA rounds to the dtype of x before it meets the weight.
TEST(RmsNormTest, OfInputRoundsBeforeTheWeight) {
  const at::Tensor weight = at::full({3}, 3, at::dtype(at::kFloat));
  const at::Tensor x = at::tensor({1.0, 2.0, 4.0}).to(at::kHalf);
  const at::Tensor exact =
      x.to(at::kFloat) * at::rsqrt(x.to(at::kFloat).square().mean() + 1e-6);
  EXPECT_TRUE(at::equal(Normed(RmsNorm::ResultDtype::kOfInput, 1e-6, weight, x),
                        weight * exact.to(at::kHalf)));
}

TEST(Conv1DTest, IsXTimesWeightPlusBias) {
  auto conv = std::make_shared<Conv1D>(Conv1DNode("x", 4, 3), kOnCpu);
  const at::Tensor weight = Values({4, 3}, 1);
  const at::Tensor bias = Values({3}, 2);
  ASSERT_THAT(conv->ReplaceTensors({{"weight", weight}, {"bias", bias}}),
              IsOk());
  for (const auto& shape : {std::vector<int64_t>{4},
                            {5, 4},
                            {2, 5, 4},
                            {2, 1, 5, 4},
                            {0, 4},
                            {2, 0, 4}}) {
    const at::Tensor x = Values(shape, 3);
    EXPECT_THAT((*conv)(x), IsCloseTo(at::matmul(x, weight) + bias, 1e-6));
  }
  // Rows that do not lie one after the other.
  const at::Tensor x = Values({4, 5, 2}, 3).permute({2, 1, 0});
  EXPECT_THAT((*conv)(x), IsCloseTo(at::matmul(x, weight) + bias, 1e-6));
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

TEST(DropoutTest, SaysWhatItDropsNow) {
  auto dropout = std::make_shared<Dropout>(DropoutNode("x"), kOnCpu, 0.25);
  EXPECT_EQ(dropout->active_probability(), 0.25);
  dropout->eval();
  EXPECT_EQ(dropout->active_probability(), 0.0);
  dropout->train();
  EXPECT_EQ(dropout->active_probability(), 0.25);
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
