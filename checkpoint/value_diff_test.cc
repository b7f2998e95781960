#include "checkpoint/value_diff.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "absl/status/status_matchers.h"
#include "absl/strings/escaping.h"
#include "checkpoint/safetensors_testutil.h"
#include "dtypes/dtype.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace checkpoint_internal {
namespace {

using ::absl_testing::IsOk;
using checkpoint_testing::ReadTestFile;
using ::nlohmann::json;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::string Bytes(const std::string& hex) {
  std::string bytes;
  EXPECT_TRUE(absl::HexStringToBytes(hex, &bytes));
  return bytes;
}

template <typename T>
ValueDiff Compared(Dtype dtype, std::vector<T> a, std::vector<T> b,
                   double rtol = 0, double atol = 0) {
  ValueDiff diff(dtype, dtype, rtol, atol);
  EXPECT_THAT(diff.Compare(reinterpret_cast<const char*>(a.data()),
                           reinterpret_cast<const char*>(b.data()), a.size()),
              IsOk());
  return diff;
}

// Any two dtypes, numbers near each other and far, NaNs and infinities.
TEST(ValueDiffTest, CountsWhatNumpyCounts) {
  const json table = json::parse(
      ReadTestFile("checkpoint/testdata/value_diffs.json"), nullptr, false);
  ASSERT_EQ(table.size(), 400);
  for (const json& row : table) {
    SCOPED_TRACE(row.dump());
    Dtype dtypes[2] = {};
    for (int k = 0; k < 2; ++k) {
      const auto dtype = DtypeFromNumpy(row["dtypes"][k].get<std::string>());
      ASSERT_THAT(dtype, IsOk());
      dtypes[k] = *dtype;
    }
    const std::string a = Bytes(row["bytes"][0]), b = Bytes(row["bytes"][1]);
    ValueDiff diff(dtypes[0], dtypes[1], row["rtol"], row["atol"]);
    ASSERT_THAT(diff.Compare(a.data(), b.data(), 8), IsOk());
    EXPECT_EQ(diff.compared(), 8);
    EXPECT_EQ(diff.different(), row["different"].get<int>());
    if (row["max_abs"].is_null()) {
      EXPECT_EQ(diff.max_abs(), kInfinity);
    } else {
      EXPECT_DOUBLE_EQ(diff.max_abs(), row["max_abs"].get<double>());
    }
  }
}

TEST(ValueDiffTest, ComparesBitsUnlessToldOtherwise) {
  const float nan = std::nanf("1"), other_nan = std::nanf("2");
  const ValueDiff bits = Compared<float>(
      Dtype::kFloat32, {0.0f, nan, nan, 1.0f}, {-0.0f, nan, other_nan, 1.0f});
  EXPECT_EQ(bits.different(), 2);
  EXPECT_EQ(bits.max_abs(), 0);
  EXPECT_EQ(bits.first(), 0);
  EXPECT_EQ(bits.first_a(), "0");
  EXPECT_EQ(bits.first_b(), "-0");
  const ValueDiff values =
      Compared<float>(Dtype::kFloat32, {0.0f, nan, nan, 1.0f},
                      {-0.0f, nan, other_nan, 1.0f}, 0, 1e-30);
  EXPECT_EQ(values.different(), 0);
}

TEST(ValueDiffTest, TellsLargeIntegersApart) {
  const ValueDiff diff = Compared<int64_t>(Dtype::kInt64, {1, 9007199254740993},
                                           {1, 9007199254740992});
  EXPECT_EQ(diff.different(), 1);
  EXPECT_EQ(diff.max_abs(), 1);
  EXPECT_EQ(diff.first(), 1);
  EXPECT_EQ(diff.first_a(), "9007199254740993");
  const ValueDiff wide =
      Compared<int64_t>(Dtype::kInt64, {std::numeric_limits<int64_t>::min()},
                        {std::numeric_limits<int64_t>::max()});
  EXPECT_EQ(wide.max_abs(), std::ldexp(1.0, 64));
  const uint64_t top = std::numeric_limits<uint64_t>::max();
  EXPECT_EQ(Compared<uint64_t>(Dtype::kUint64, {top}, {0}).first_a(),
            "18446744073709551615");
}

TEST(ValueDiffTest, CountsOnAcrossPieces) {
  const std::vector<float> a = {1, 2}, b = {1, 2.5};
  ValueDiff diff(Dtype::kFloat32, Dtype::kFloat32, 0, 0);
  for (int i = 0; i < 3; ++i) {
    ASSERT_THAT(diff.Compare(reinterpret_cast<const char*>(a.data()),
                             reinterpret_cast<const char*>(b.data()), 2),
                IsOk());
  }
  EXPECT_EQ(diff.compared(), 6);
  EXPECT_EQ(diff.different(), 3);
  EXPECT_EQ(diff.first(), 1);
  EXPECT_EQ(diff.first_b(), "2.5");
}

// All floats that numpy has no name for, against float32.
TEST(ValueDiffTest, KnowsEveryDtype) {
  for (const Dtype dtype : kAllDtypes) {
    const std::string zeros(DtypeSize(dtype) * 3, '\0');
    const float numbers[] = {0, 0, 1.5};
    ValueDiff diff(dtype, Dtype::kFloat32, 0, 0);
    ASSERT_THAT(
        diff.Compare(zeros.data(), reinterpret_cast<const char*>(numbers), 3),
        IsOk())
        << DtypeName(dtype);
    EXPECT_EQ(diff.different(), 1) << DtypeName(dtype);
    EXPECT_EQ(diff.max_abs(), 1.5) << DtypeName(dtype);
    EXPECT_EQ(diff.first(), 2) << DtypeName(dtype);
  }
}

}  // namespace
}  // namespace checkpoint_internal
}  // namespace pretrained
