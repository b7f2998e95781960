#include "modeling/half_linear.h"

#include <cmath>
#include <cstdint>
#include <optional>

#include "ATen/ATen.h"
#include "c10/core/InferenceMode.h"
#include "gtest/gtest.h"
#include "modeling/few_row_linear.h"
#include "modeling/tensor_testutil.h"

namespace pretrained {
namespace {

at::Tensor Weight(int64_t in, int64_t out, WeightLayout layout,
                  at::ScalarType type) {
  return (layout == WeightLayout::kOutIn ? at::randn({out, in})
                                         : at::randn({in, out}))
      .to(type);
}

TEST(HalfLinearTest, IsWhatALinearLayerIs) {
  c10::InferenceMode no_gradients;
  for (const at::ScalarType type : {at::kBFloat16, at::kHalf}) {
    if (HasHalfMatrixKernels(type)) continue;
    for (const WeightLayout layout :
         {WeightLayout::kOutIn, WeightLayout::kInOut}) {
      // The last is more than one block.
      for (const auto& [in, out] :
           {std::pair<int64_t, int64_t>{3, 5}, {67, 203}, {1500, 1500}}) {
        const at::Tensor weight = Weight(in, out, layout, type);
        const at::Tensor bias = at::randn({out}).to(type);
        const at::Tensor x = at::randn({3, 4, in}).to(type);
        const at::Tensor wide = weight.to(at::kDouble);
        const at::Tensor want =
            at::matmul(x.to(at::kDouble),
                       layout == WeightLayout::kOutIn ? wide.t() : wide) +
            bias.to(at::kDouble);
        const std::optional<at::Tensor> y =
            LinearOfHalf(x, weight, bias, layout);
        ASSERT_TRUE(y.has_value());
        EXPECT_EQ(y->scalar_type(), type);
        EXPECT_EQ(y->sizes(), at::IntArrayRef({3, 4, out}));
        EXPECT_EQ(DifferenceOf(y->to(at::kDouble), want, 1e-2), "")
            << in << " x " << out;
      }
    }
  }
}

TEST(HalfLinearTest, LeavesTheRestToLibTorch) {
  const auto is_done = [](const at::Tensor& x, const at::Tensor& weight) {
    return LinearOfHalf(x, weight, at::Tensor(), WeightLayout::kOutIn)
        .has_value();
  };
  const at::Tensor weight = at::randn({6, 5}).to(at::kHalf);
  const at::Tensor x = at::randn({9, 5}).to(at::kHalf);
  EXPECT_EQ(is_done(x, weight), !HasHalfMatrixKernels(at::kHalf));
  EXPECT_FALSE(is_done(x.to(at::kFloat), weight.to(at::kFloat)));
  EXPECT_FALSE(is_done(x.to(at::kBFloat16), weight));
  EXPECT_FALSE(is_done(x.narrow(1, 0, 4), weight));
  EXPECT_FALSE(is_done(x.narrow(0, 0, 0), weight));
  EXPECT_FALSE(is_done(x, weight.clone().requires_grad_(true)));
}

}  // namespace
}  // namespace pretrained
