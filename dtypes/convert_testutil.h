#ifndef PRETRAINED_DTYPES_CONVERT_TESTUTIL_H_
#define PRETRAINED_DTYPES_CONVERT_TESTUTIL_H_

// Inputs for tests of Convert(), and a way to run one path of it on them.

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "dtypes/convert_kernels.h"
#include "dtypes/dtype.h"

namespace pretrained::dtypes_internal {

inline constexpr std::array<FloatFormat, kNumFloatFormats> kAllFloatFormats = {
    FloatFormat::kFloat8E4M3FN, FloatFormat::kFloat8E5M2,
    FloatFormat::kFloat16,      FloatFormat::kBfloat16,
    FloatFormat::kFloat32,      FloatFormat::kFloat64};

// The paths that this machine can run.
std::vector<CpuPath> SupportedCpuPaths();

Dtype DtypeOf(FloatFormat format);
int64_t SizeOf(FloatFormat format);

// "float32 to float16", for traces.
std::string PairName(FloatFormat from, FloatFormat to);

// Bits of exponent and of mantissa.
int ExponentBits(FloatFormat format);
int MantissaBits(FloatFormat format);

// Elements of one format, as they lie in memory.
struct Elements {
  FloatFormat format;
  std::vector<uint8_t> bytes;

  int64_t size() const { return bytes.size() / SizeOf(format); }
  // The bits of element `i`.
  uint64_t operator[](int64_t i) const;
  void Append(uint64_t bits);
};

// What a conversion may meet. All there is of float8, float16 and bfloat16
// (256 or 65,536 patterns). Of float32 and float64 some three and five million:
// every value of each narrower format, every point half way between two of
// them, and the neighbours of all these; NaNs of every kind; numbers across the
// whole range at a fixed stride; and random bits of a fixed seed.
Elements TestPatterns(FloatFormat format);

// All of `src`, by one path.
Elements ConvertBy(CpuPath path, const Elements& src, FloatFormat to);
void ConvertBy(CpuPath path, FloatFormat from, const void* src, FloatFormat to,
               void* dst, int64_t count);

bool IsNanBits(FloatFormat format, uint64_t bits);

}  // namespace pretrained::dtypes_internal

#endif  // PRETRAINED_DTYPES_CONVERT_TESTUTIL_H_
