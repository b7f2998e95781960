#include "modeling/few_row_linear.h"

#include <cstdint>
#include <optional>

#include "ATen/ATen.h"
#include "c10/core/InferenceMode.h"
#include "gtest/gtest.h"
#include "modeling/few_row_kernels.h"
#include "modeling/tensor_testutil.h"

namespace pretrained {
namespace {

// y = x weight^T + bias, as float64 has it.
at::Tensor Exact(const at::Tensor& x, const at::Tensor& weight,
                 const at::Tensor& bias, WeightLayout layout) {
  const at::Tensor wide = weight.to(at::kDouble);
  at::Tensor y = at::matmul(x.to(at::kDouble),
                            layout == WeightLayout::kOutIn ? wide.t() : wide);
  if (bias.defined()) y = y + bias.to(at::kDouble);
  return y;
}

TEST(FewRowLinearTest, IsWhatALinearLayerIs) {
  if (!HasFewRowKernels()) GTEST_SKIP() << "no AVX2";
  c10::InferenceMode no_gradients;
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kHalf}) {
    for (int64_t rows = 1; rows <= 8; ++rows) {
      // In sizes that leave a rest of every vector, and chains of them.
      for (const int64_t in : {257, 512, 301}) {
        for (const int64_t out : {64, 203}) {
          for (const WeightLayout layout :
               {WeightLayout::kOutIn, WeightLayout::kInOut}) {
            const at::Tensor weight =
                (layout == WeightLayout::kOutIn ? at::randn({out, in})
                                                : at::randn({in, out}))
                    .mul(0.1)
                    .to(type);
            const at::Tensor x = at::randn({rows, 1, in}).to(type);
            for (const at::Tensor& bias :
                 {at::Tensor(), at::randn({out}).to(type)}) {
              const std::optional<at::Tensor> y =
                  LinearOfFewRows(x, weight, bias, layout);
              ASSERT_TRUE(y.has_value());
              EXPECT_EQ(y->scalar_type(), type);
              EXPECT_EQ(DifferenceOf(y->to(at::kDouble),
                                     Exact(x, weight, bias, layout),
                                     type == at::kFloat ? 1e-5 : 1e-2),
                        "")
                  << rows << " x " << in << " x " << out;
            }
          }
        }
      }
    }
  }
}

TEST(FewRowLinearTest, ARowIsTheSameWhateverIsBesideIt) {
  if (!HasFewRowKernels()) GTEST_SKIP() << "no AVX2";
  c10::InferenceMode no_gradients;
  const at::Tensor weight = at::randn({300, 300});
  const at::Tensor x = at::randn({3, 300});
  const at::Tensor all =
      *LinearOfFewRows(x, weight, at::Tensor(), WeightLayout::kInOut);
  const at::Tensor two = *LinearOfFewRows(x.narrow(0, 0, 2), weight,
                                          at::Tensor(), WeightLayout::kInOut);
  EXPECT_TRUE(at::equal(all.narrow(0, 0, 2), two));
}

TEST(FewRowLinearTest, LeavesTheRestToLibTorch) {
  const at::Tensor weight = at::randn({300, 300});
  const at::Tensor x = at::randn({2, 300});
  const auto is_done = [](const at::Tensor& x, const at::Tensor& weight) {
    return LinearOfFewRows(x, weight, at::Tensor(), WeightLayout::kOutIn)
        .has_value();
  };
  EXPECT_EQ(is_done(x, weight), HasFewRowKernels());
  EXPECT_FALSE(is_done(at::randn({9, 300}), weight));
  EXPECT_FALSE(is_done(at::randn({0, 300}), weight));
  EXPECT_FALSE(is_done(at::randn({2, 299}), weight));
  EXPECT_FALSE(is_done(x, weight.t()));
  EXPECT_FALSE(is_done(x.to(at::kDouble), weight.to(at::kDouble)));
  EXPECT_FALSE(is_done(x.to(at::kHalf), weight));
  EXPECT_FALSE(is_done(x, at::randn({30, 300})));
  EXPECT_FALSE(is_done(x, at::randn({300, 300}).requires_grad_(true)));
}

}  // namespace
}  // namespace pretrained
