#include "generation/sampling.h"

#include <cstdint>
#include <limits>
#include <vector>

#include "ATen/ATen.h"
#include "ATen/CPUGeneratorImpl.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::HasSubstr;

constexpr int64_t kDraws = 100'000;
const std::vector<double> kProbabilities = {0.4, 0.05, 0.0, 0.3, 0.1, 0.15};
// 4 degrees of freedom leave 1 in 10,000 above 23.5, 19 above 51.
constexpr double kChiSquare4 = 23.5, kChiSquare19 = 51.0;

// As many rows as draws.
at::Tensor Rows(double factor = 1) {
  return (at::tensor(kProbabilities, at::dtype(at::kDouble)) * factor)
      .to(at::kFloat)
      .expand({kDraws, 6});
}

at::Generator Seeded(uint64_t seed) {
  return at::make_generator<at::CPUGeneratorImpl>(seed);
}

double ChiSquare(const std::vector<int64_t>& counts,
                 const std::vector<double>& probabilities) {
  double sum = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    if (probabilities[i] == 0) {
      EXPECT_EQ(counts[i], 0);
      continue;
    }
    const double expected = probabilities[i] * kDraws;
    sum += (counts[i] - expected) * (counts[i] - expected) / expected;
  }
  return sum;
}

std::vector<int64_t> Counts(const at::Tensor& drawn, int64_t bins) {
  std::vector<int64_t> counts(bins);
  const at::Tensor flat = drawn.contiguous();
  for (int64_t i = 0; i < flat.numel(); ++i) {
    ++counts[flat.const_data_ptr<int64_t>()[i]];
  }
  return counts;
}

TEST(SamplingTest, DrawsAsTheProbabilitiesSay) {
  absl::StatusOr<at::Tensor> drawn = Sample(Rows(3), 1, Seeded(1));
  ASSERT_THAT(drawn, IsOk());
  EXPECT_EQ(drawn->sizes(), at::IntArrayRef({kDraws, 1}));
  EXPECT_EQ(drawn->scalar_type(), at::kLong);
  EXPECT_LT(ChiSquare(Counts(*drawn, 6), kProbabilities), kChiSquare4);
}

TEST(SamplingTest, DrawsAsTheLogitsSay) {
  absl::StatusOr<at::Tensor> drawn =
      SampleFromLogits(Rows().log() + 5, 1, Seeded(2));
  ASSERT_THAT(drawn, IsOk());
  EXPECT_LT(ChiSquare(Counts(*drawn, 6), kProbabilities), kChiSquare4);
}

// The test itself tells distributions apart that are near.
TEST(SamplingTest, ChiSquareSeesAnotherDistribution) {
  absl::StatusOr<at::Tensor> drawn = Sample(Rows(), 1, Seeded(1));
  ASSERT_THAT(drawn, IsOk());
  const std::vector<double> near = {0.39, 0.06, 0.0, 0.3, 0.1, 0.15};
  EXPECT_GT(ChiSquare(Counts(*drawn, 6), near), kChiSquare4);
}

// Pairs of different tokens: first by p, then by p of what is left.
TEST(SamplingTest, DrawsWithoutReplacement) {
  absl::StatusOr<at::Tensor> drawn = Sample(Rows(), 2, Seeded(3));
  ASSERT_THAT(drawn, IsOk());
  EXPECT_EQ(drawn->sizes(), at::IntArrayRef({kDraws, 2}));
  std::vector<double> pairs(36);
  for (int64_t first = 0; first < 6; ++first) {
    for (int64_t second = 0; second < 6; ++second) {
      if (first == second) continue;
      pairs[6 * first + second] = kProbabilities[first] *
                                  kProbabilities[second] /
                                  (1 - kProbabilities[first]);
    }
  }
  EXPECT_LT(ChiSquare(Counts(drawn->select(1, 0) * 6 + drawn->select(1, 1), 36),
                      pairs),
            kChiSquare19);
}

TEST(SamplingTest, TheSameSeedDrawsTheSame) {
  const at::Tensor few = Rows().narrow(0, 0, 50);
  at::Generator generator = Seeded(7);
  const at::Tensor first = *Sample(few, 2, generator);
  const at::Tensor second = *Sample(few, 2, generator);
  EXPECT_FALSE(at::equal(first, second));  // It goes on.
  generator.set_current_seed(7);
  EXPECT_TRUE(at::equal(*Sample(few, 2, generator), first));
  EXPECT_TRUE(at::equal(*Sample(few, 2, Seeded(7)), first));
  EXPECT_FALSE(at::equal(*Sample(few, 2, Seeded(8)), first));
  at::manual_seed(7);
  const at::Tensor global = *Sample(few, 2);
  at::manual_seed(7);
  EXPECT_TRUE(at::equal(*Sample(few, 2), global));
}

TEST(SamplingTest, RefusesWhatIsNoDistribution) {
  const auto is_bad =
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("Sample"));
  const at::Tensor row = Rows().narrow(0, 0, 1);
  EXPECT_THAT(Sample(row, 0), is_bad);
  EXPECT_THAT(Sample(row, 7), is_bad);
  EXPECT_THAT(Sample({}), is_bad);
  EXPECT_THAT(Sample(row[0]), is_bad);
  EXPECT_THAT(Sample(row.to(at::kLong)), is_bad);
  EXPECT_THAT(Sample(at::zeros({1, 3})), is_bad);
  EXPECT_THAT(Sample(-row), is_bad);
  EXPECT_THAT(Sample(row / 0), is_bad);
  EXPECT_THAT(SampleFromLogits(row * std::numeric_limits<double>::quiet_NaN()),
              is_bad);
  EXPECT_THAT(SampleFromLogits({}), is_bad);
  EXPECT_THAT(Sample(row, 6), IsOk());
}

}  // namespace
}  // namespace pretrained
