// Convert() against LibTorch's own `.to()`, on the same inputs.

#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <ios>
#include <vector>

#include "dtypes/convert_kernels.h"
#include "dtypes/convert_testutil.h"
#include "gtest/gtest.h"

namespace pretrained::dtypes_internal {
namespace {

at::ScalarType ScalarTypeOf(FloatFormat format) {
  switch (format) {
    case FloatFormat::kFloat8E4M3FN:
      return at::kFloat8_e4m3fn;
    case FloatFormat::kFloat8E5M2:
      return at::kFloat8_e5m2;
    case FloatFormat::kFloat16:
      return at::kHalf;
    case FloatFormat::kBfloat16:
      return at::kBFloat16;
    case FloatFormat::kFloat32:
      return at::kFloat;
    case FloatFormat::kFloat64:
      return at::kDouble;
  }
  return at::ScalarType::Undefined;
}

// `src.to(..)`, contiguous, as LibTorch runs it: vectors and tail.
Elements ConvertByTorch(Elements& src, FloatFormat to) {
  const at::Tensor tensor =
      at::from_blob(src.bytes.data(), {src.size()},
                    at::TensorOptions().dtype(ScalarTypeOf(src.format)))
          .to(ScalarTypeOf(to));
  const auto* first = static_cast<const uint8_t*>(tensor.const_data_ptr());
  return {.format = to,
          .bytes = std::vector<uint8_t>(first, first + tensor.nbytes())};
}

// What is a NaN here is one there; all else has the same bits.
TEST(ConvertTorchTest, GivesTheBitsOfLibTorch) {
  for (FloatFormat from : kAllFloatFormats) {
    Elements src = TestPatterns(from);
    for (FloatFormat to : kAllFloatFormats) {
      if (from == to) continue;
      const Elements expected = ConvertByTorch(src, to);
      ASSERT_EQ(expected.size(), src.size());
      for (CpuPath path : SupportedCpuPaths()) {
        const Elements dst = ConvertBy(path, src, to);
        for (int64_t i = 0; i < src.size(); ++i) {
          if (dst[i] == expected[i]) continue;
          ASSERT_TRUE(IsNanBits(to, dst[i]) && IsNanBits(to, expected[i]))
              << PairName(from, to) << " by path " << static_cast<int>(path)
              << std::hex << ": 0x" << src[i] << " gave 0x" << dst[i]
              << ", LibTorch 0x" << expected[i];
        }
      }
    }
  }
}

// LibTorch's scalar code differs from its vectors; both must agree with us.
TEST(ConvertTorchTest, GivesTheBitsOfLibTorchsScalarCode) {
  for (FloatFormat from : kAllFloatFormats) {
    Elements src = TestPatterns(from);
    // One element in two, as a view: what is not contiguous is not vectorised.
    const int64_t half = src.size() / 2;
    const at::Tensor strided =
        at::from_blob(src.bytes.data(), {half}, {2},
                      at::TensorOptions().dtype(ScalarTypeOf(from)));
    for (FloatFormat to : kAllFloatFormats) {
      if (from == to) continue;
      const at::Tensor converted = strided.to(ScalarTypeOf(to)).contiguous();
      const auto* first =
          static_cast<const uint8_t*>(converted.const_data_ptr());
      const Elements expected{
          .format = to,
          .bytes = std::vector<uint8_t>(first, first + half * SizeOf(to))};
      const Elements dst = ConvertBy(BestCpuPath(), src, to);
      for (int64_t i = 0; i < half; ++i) {
        if (dst[2 * i] == expected[i]) continue;
        ASSERT_TRUE(IsNanBits(to, dst[2 * i]) && IsNanBits(to, expected[i]))
            << PairName(from, to) << std::hex << ": 0x" << src[2 * i]
            << " gave 0x" << dst[2 * i] << ", LibTorch 0x" << expected[i];
      }
    }
  }
}

}  // namespace
}  // namespace pretrained::dtypes_internal
