#include "modeling/activations.h"

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

TEST(ActivationsTest, OtherNamesHaveNoFunction) {
  for (const char* name : {"", "GELU", "swoosh", "gelu "}) {
    EXPECT_EQ(GetActivation(name), nullptr) << name;
  }
}

}  // namespace
}  // namespace pretrained
