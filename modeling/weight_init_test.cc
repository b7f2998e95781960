#include "modeling/weight_init.h"

#include <memory>
#include <optional>

#include "ATen/ATen.h"
#include "gtest/gtest.h"
#include "modeling/layers.h"
#include "modeling/layout_nodes.h"
#include "modeling/module.h"

namespace pretrained {
namespace {

const ModuleOptions kOnMeta;
constexpr double kDeviation = 0.02;

// Mean and deviation of so many draws are within a few per mille of these.
void ExpectNormal(const at::Tensor& tensor) {
  EXPECT_NEAR(tensor.mean().item().toDouble(), 0.0, 0.001);
  EXPECT_NEAR(tensor.std().item().toDouble(), kDeviation, 0.001);
}

TEST(WeightInitTest, MatricesAreNormalAndBiasesZero) {
  const auto linear =
      std::make_shared<Linear>(LinearNode("x", 100, 200), kOnMeta);
  at::Tensor weight = at::full({200, 100}, 7.0);
  InitializeNormal({.name = "weight", .owner = *linear, .tensor = weight},
                   kDeviation);
  ExpectNormal(weight);
  at::Tensor bias = at::full({200}, 7.0);
  InitializeNormal({.name = "bias", .owner = *linear, .tensor = bias},
                   kDeviation);
  EXPECT_TRUE(at::equal(bias, at::zeros({200})));
}

TEST(WeightInitTest, APaddingRowIsZero) {
  for (const std::optional<int64_t> padding :
       {std::optional<int64_t>(3), std::optional<int64_t>()}) {
    const auto embedding = std::make_shared<Embedding>(
        EmbeddingNode("x", 200, 100), kOnMeta, padding);
    at::Tensor weight = at::full({200, 100}, 7.0);
    InitializeNormal({.name = "weight", .owner = *embedding, .tensor = weight},
                     kDeviation);
    ExpectNormal(weight);
    EXPECT_EQ(weight.select(0, 3).eq(0).all().item().toBool(),
              padding.has_value());
    EXPECT_FALSE(weight.select(0, 2).eq(0).any().item().toBool());
  }
}

// Resized to fewer rows than the padding row's index.
TEST(WeightInitTest, APaddingRowThatIsGoneIsNoHarm) {
  const auto embedding =
      std::make_shared<Embedding>(EmbeddingNode("x", 200, 10), kOnMeta, 150);
  at::Tensor weight = at::zeros({100, 10});
  InitializeNormal({.name = "weight", .owner = *embedding, .tensor = weight},
                   kDeviation);
  EXPECT_FALSE(weight.eq(0).any().item().toBool());
}

TEST(WeightInitTest, ANormIsOneAndItsBiasZero) {
  const auto norm =
      std::make_shared<LayerNorm>(LayerNormNode("x", 5), kOnMeta, 1e-12);
  at::Tensor weight = at::full({5}, 7.0);
  InitializeNormal({.name = "weight", .owner = *norm, .tensor = weight},
                   kDeviation);
  EXPECT_TRUE(at::equal(weight, at::ones({5})));
  at::Tensor bias = at::full({5}, 7.0);
  InitializeNormal({.name = "bias", .owner = *norm, .tensor = bias},
                   kDeviation);
  EXPECT_TRUE(at::equal(bias, at::zeros({5})));
}

TEST(WeightInitTest, AParameterThatTrainsIsDrawnWithoutAGradient) {
  const auto linear = std::make_shared<Linear>(LinearNode("x", 4, 4), kOnMeta);
  at::Tensor weight = at::zeros({4, 4}).set_requires_grad(true);
  InitializeNormal({.name = "weight", .owner = *linear, .tensor = weight},
                   kDeviation);
  EXPECT_TRUE(weight.is_leaf());
  EXPECT_FALSE(weight.eq(0).any().item().toBool());
}

}  // namespace
}  // namespace pretrained
