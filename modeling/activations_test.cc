#include "modeling/activations.h"

#include <cmath>
#include <string>

#include "ATen/ATen.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/activation_names.h"
#include "modeling/tensor_testutil.h"

namespace pretrained {
namespace {

constexpr char kGolden[] = "testdata/bert/activations.safetensors";

TEST(ActivationsTest, EveryNameComputesWhatThePeerComputes) {
  const at::Tensor x = ReadGolden(kGolden, "in.").at("x");
  const NamedTensors want = ReadGolden(kGolden, "out.");
  EXPECT_EQ(want.size(), ActivationNames().size());
  for (const auto& [name, tensor] : want) {
    const ActivationFunction function = GetActivation(name);
    ASSERT_NE(function, nullptr) << name;
    EXPECT_THAT(function(x), IsCloseTo(tensor, 1e-6)) << name;
  }
}

TEST(ActivationsTest, EveryNameKeepsShapeAndDtype) {
  for (const ActivationName& activation : ActivationNames()) {
    const ActivationFunction function = GetActivation(activation.name);
    ASSERT_NE(function, nullptr) << activation.name;
    for (const at::ScalarType type : {at::kHalf, at::kBFloat16, at::kDouble}) {
      const at::Tensor x = at::linspace(-3, 3, 6).reshape({2, 1, 3}).to(type);
      const at::Tensor before = x.clone();
      const at::Tensor y = function(x);
      EXPECT_EQ(y.scalar_type(), type) << activation.name;
      EXPECT_EQ(y.sizes(), x.sizes()) << activation.name;
      EXPECT_TRUE(at::equal(x, before)) << activation.name << " changed x";
    }
  }
}

// Its kernel is for float32 and the half dtypes; float64 goes step by step.
TEST(ActivationsTest, GeluNewIsTheSameInOnePass) {
  const ActivationFunction gelu = GetActivation("gelu_new");
  const at::Tensor x = at::linspace(-30, 30, 40003, at::dtype(at::kDouble));
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kHalf}) {
    const at::Tensor rounded = x.to(type);
    EXPECT_THAT(gelu(rounded).to(at::kDouble),
                IsCloseTo(gelu(rounded.to(at::kDouble)),
                          type == at::kFloat ? 1e-6 : 5e-3))
        << c10::toString(type);
  }
  const at::Tensor odd = at::tensor({INFINITY, NAN, -1e30f, 1e30f, 0.0f});
  const at::Tensor y = gelu(odd);
  EXPECT_EQ(y[0].item().toFloat(), INFINITY);
  EXPECT_TRUE(y[1].isnan().item().toBool());
  EXPECT_EQ(y[2].item().toFloat(), 0.0f);
  EXPECT_EQ(y[3].item().toFloat(), 1e30f);
  EXPECT_EQ(y[4].item().toFloat(), 0.0f);
  const at::Tensor leaf = at::ones({3}).requires_grad_(true);
  EXPECT_TRUE(gelu(leaf).requires_grad());
}

TEST(ActivationsTest, OtherNamesHaveNoFunction) {
  for (const char* name : {"", "GELU", "swoosh", "gelu "}) {
    EXPECT_EQ(GetActivation(name), nullptr) << name;
  }
}

}  // namespace
}  // namespace pretrained
