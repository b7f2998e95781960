#include "modeling/alibi.h"

#include <cstdint>
#include <string>

#include "ATen/ATen.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/model_output.h"
#include "modeling/tensor_testutil.h"

namespace pretrained {
namespace {

// Head counts of every kind: powers of two, one more, one less, the largest
// models'.
TEST(AlibiSlopesTest, AreThePeers) {
  const NamedTensors golden =
      ReadGolden("testdata/bloom/alibi.safetensors", "slopes.");
  ASSERT_GE(golden.size(), 40u);
  for (const auto& [heads, want] : golden) {
    const at::Tensor got = AlibiSlopes(std::stoll(heads));
    EXPECT_EQ(got.scalar_type(), at::kFloat);
    // LibTorch's pow() rounds its last bit by the CPU it runs on.
    EXPECT_TRUE(at::allclose(got, want, /*rtol=*/2.5e-7, /*atol=*/0))
        << heads << " heads";
  }
}

TEST(AlibiBiasTest, IsThePeers) {
  const std::string file = "testdata/bloom/alibi.safetensors";
  const NamedTensors masks = ReadGolden(file, "mask.");
  const NamedTensors biases = ReadGolden(file, "bias.");
  ASSERT_GE(masks.size(), 4u);
  for (const auto& [name, mask] : masks) {
    const at::Tensor want = biases.at(name);  // [batch * heads, 1, keys]
    const int64_t heads = want.size(0) / mask.size(0);
    EXPECT_THAT(AlibiBias(mask, heads),
                IsCloseTo(want.view({mask.size(0), heads, 1, -1}), 1e-7))
        << name;
  }
}

TEST(AlibiBiasTest, IsInFloat32WhateverTheMask) {
  for (const at::ScalarType type :
       {at::kBool, at::kLong, at::kInt, at::kFloat, at::kDouble}) {
    const at::Tensor bias = AlibiBias(at::ones({2, 5}, at::dtype(type)), 3);
    EXPECT_EQ(bias.scalar_type(), at::kFloat);
    EXPECT_EQ(bias.sizes(), at::IntArrayRef({2, 3, 1, 5}));
    EXPECT_EQ(bias[1][0][0][4].item<double>(), 4 * 0.0625);
  }
}

}  // namespace
}  // namespace pretrained
