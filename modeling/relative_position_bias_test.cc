#include "modeling/relative_position_bias.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "modeling/model_output.h"
#include "modeling/tensor_testutil.h"

namespace pretrained {
namespace {

// The names of the golden tensors: "BUCKETS.DISTANCE.both" or ".past".
RelativePositionOptions OptionsOf(const std::string& name) {
  const std::vector<std::string> parts = absl::StrSplit(name, '.');
  RelativePositionOptions options{.bidirectional = parts[2] == "both"};
  EXPECT_TRUE(absl::SimpleAtoi(parts[0], &options.num_buckets));
  EXPECT_TRUE(absl::SimpleAtoi(parts[1], &options.max_distance));
  return options;
}

TEST(RelativePositionBiasTest, BucketsAreThePeersBitByBit) {
  const std::string path = "testdata/t5/buckets.safetensors";
  const at::Tensor positions = ReadGolden(path, "in.").at("positions");
  const NamedTensors golden = ReadGolden(path, "out.");
  ASSERT_GE(golden.size(), 18u);
  for (const auto& [name, want] : golden) {
    SCOPED_TRACE(name);
    const RelativePositionOptions options = OptionsOf(name);
    const at::Tensor got = RelativePositionBuckets(positions, options);
    EXPECT_EQ(got.scalar_type(), at::kLong);
    EXPECT_TRUE(at::equal(got, want.to(at::kLong)));
    EXPECT_GE(got.min().item().toLong(), 0);
    EXPECT_LT(got.max().item().toLong(), options.num_buckets);
  }
}

// Whatever the length of the tensor they stand in: vector instructions must not
// round otherwise than scalar ones.
TEST(RelativePositionBiasTest, ABucketDependsOnNothingButThePosition) {
  const at::Tensor all = at::arange(-300, 301, at::dtype(at::kLong));
  for (const bool bidirectional : {true, false}) {
    const RelativePositionOptions options{.bidirectional = bidirectional};
    const at::Tensor want = RelativePositionBuckets(all, options);
    for (int64_t i = 0; i < all.size(0); ++i) {
      ASSERT_EQ(
          RelativePositionBuckets(all.narrow(0, i, 1), options).item().toLong(),
          want[i].item().toLong())
          << "at " << all[i].item().toLong();
    }
  }
}

TEST(RelativePositionBiasTest, PositionsGoFromTheFirstKeyToTheLastQuery) {
  const at::Tensor positions = RelativePositions(2, 5, at::kCPU);
  EXPECT_TRUE(at::equal(positions, at::arange(-4, 2, at::dtype(at::kLong))));
}

// Queries are the last tokens, so that a cache makes no difference to them.
TEST(RelativePositionBiasTest, EachPairOfTokensGetsTheValuesOfItsDistance) {
  constexpr int64_t kHeads = 3;
  for (const auto& [queries, keys] :
       std::vector<std::pair<int64_t, int64_t>>{{4, 4}, {1, 6}, {2, 5}}) {
    SCOPED_TRACE(absl::StrCat(queries, " of ", keys));
    const at::Tensor positions = RelativePositions(queries, keys, at::kCPU);
    // Head h says 100 h and the relative position.
    const at::Tensor values =
        positions.unsqueeze(1) + 100 * at::arange(kHeads).unsqueeze(0);
    const at::Tensor bias = SpreadRelativeBias(values, queries);
    ASSERT_EQ(bias.sizes().vec(),
              (std::vector<int64_t>{1, kHeads, queries, keys}));
    for (int64_t head = 0; head < kHeads; ++head) {
      for (int64_t query = 0; query < queries; ++query) {
        for (int64_t key = 0; key < keys; ++key) {
          EXPECT_EQ(bias[0][head][query][key].item().toLong(),
                    100 * head + key - (keys - queries + query));
        }
      }
    }
  }
}

}  // namespace
}  // namespace pretrained
