#include "modeling/few_row_linear.h"

#include <cmath>
#include <cstdint>
#include <optional>
#include <vector>

#include "ATen/ATen.h"
#include "ATen/Parallel.h"
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

TEST(FewRowLinearTest, NoThreadsNumberMakesADifference) {
  if (!HasFewRowKernels()) GTEST_SKIP() << "no AVX2";
  c10::InferenceMode no_gradients;
  const int before = at::get_num_threads();
  for (const WeightLayout layout :
       {WeightLayout::kOutIn, WeightLayout::kInOut}) {
    const at::Tensor weight = at::randn({1003, 1003});
    const at::Tensor x = at::randn({2, 1003});
    std::vector<at::Tensor> results;
    for (const int threads : {1, 2, 3}) {
      at::set_num_threads(threads);
      results.push_back(*LinearOfFewRows(x, weight, weight[0], layout));
    }
    EXPECT_TRUE(at::equal(results[0], results[1]));
    EXPECT_TRUE(at::equal(results[0], results[2]));
  }
  at::set_num_threads(before);
}

// What is infinite, or no number, in a row of x or a column of the weight is so
// in what they make, and nowhere else.
TEST(FewRowLinearTest, PassesOnWhatIsNotFinite) {
  if (!HasFewRowKernels()) GTEST_SKIP() << "no AVX2";
  c10::InferenceMode no_gradients;
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kHalf}) {
    for (const WeightLayout layout :
         {WeightLayout::kOutIn, WeightLayout::kInOut}) {
      const bool out_first = layout == WeightLayout::kOutIn;
      const at::Tensor x = at::ones({3, 203}).to(type);
      x[1][201].fill_(NAN);
      const at::Tensor weight =
          at::full({203, 203}, 0.01, at::dtype(at::kFloat)).to(type);
      const at::Tensor columns = out_first ? weight.t() : weight;
      columns[7][200].fill_(INFINITY);
      columns[7][3].fill_(-INFINITY);
      const at::Tensor y =
          LinearOfFewRows(x, weight, at::Tensor(), layout)->to(at::kFloat);
      EXPECT_TRUE(y[1].isnan().all().item().toBool());
      for (const int64_t row : {0, 2}) {
        EXPECT_EQ(y[row][200].item().toFloat(), INFINITY);
        EXPECT_EQ(y[row][3].item().toFloat(), -INFINITY);
        EXPECT_EQ(y[row].isfinite().sum().item().toInt(), 201);
      }
    }
  }
}

TEST(FewRowLinearTest, RoundsToTheNearestAsLibTorchDoes) {
  if (!HasFewRowKernels()) GTEST_SKIP() << "no AVX2";
  c10::InferenceMode no_gradients;
  for (const at::ScalarType type : {at::kBFloat16, at::kHalf}) {
    // A row of x that picks a row of the weight: sums are exact, the bias makes
    // them want rounding, ties included.
    const at::Tensor weight = at::randint(-64, 64, {129, 203}).to(type);
    const at::Tensor bias = at::randint(-4096, 4096, {203}).mul(0.125).to(type);
    at::Tensor x = at::zeros({1, 129}).to(type);
    x[0][5].fill_(1);
    const at::Tensor want =
        (weight[5].to(at::kFloat) + bias.to(at::kFloat)).to(type);
    EXPECT_TRUE(at::equal(
        LinearOfFewRows(x, weight, bias, WeightLayout::kInOut)->squeeze(0),
        want));
    EXPECT_TRUE(at::equal(
        LinearOfFewRows(x, weight.t().contiguous(), bias, WeightLayout::kOutIn)
            ->squeeze(0),
        want));
  }
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
  EXPECT_FALSE(LinearOfFewRows(x, weight, at::randn({300}).requires_grad_(true),
                               WeightLayout::kOutIn)
                   .has_value());
  EXPECT_FALSE(LinearOfFewRows(x, weight, at::randn({300}).to(at::kHalf),
                               WeightLayout::kOutIn)
                   .has_value());
}

}  // namespace
}  // namespace pretrained
