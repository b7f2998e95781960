#include "dtypes/convert.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <ios>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "dtypes/convert_kernels.h"
#include "dtypes/convert_testutil.h"
#include "dtypes/dtype.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::IsOkAndHolds;
using ::absl_testing::StatusIs;
using ::pretrained::dtypes_internal::BestCpuPath;
using ::pretrained::dtypes_internal::ConvertBy;
using ::pretrained::dtypes_internal::CpuPath;
using ::pretrained::dtypes_internal::DtypeOf;
using ::pretrained::dtypes_internal::Elements;
using ::pretrained::dtypes_internal::ExponentBits;
using ::pretrained::dtypes_internal::FloatFormat;
using ::pretrained::dtypes_internal::IsNanBits;
using ::pretrained::dtypes_internal::kAllFloatFormats;
using ::pretrained::dtypes_internal::MantissaBits;
using ::pretrained::dtypes_internal::PairName;
using ::pretrained::dtypes_internal::SizeOf;
using ::pretrained::dtypes_internal::SupportedCpuPaths;
using ::pretrained::dtypes_internal::TestPatterns;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// ---- What the bits should be: slow, in floating point, sharing no code ----

double BitsToDouble(uint64_t bits) {
  double value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

uint64_t DoubleToBits(double value) {
  uint64_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

// Of what is not a NaN.
double Decode(FloatFormat format, uint64_t bits) {
  if (format == FloatFormat::kFloat64) return BitsToDouble(bits);
  const int mantissa_bits = MantissaBits(format);
  const int exponent_bits = ExponentBits(format);
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const bool negative = bits >> (mantissa_bits + exponent_bits) & 1;
  const int exponent = bits >> mantissa_bits & ((1 << exponent_bits) - 1);
  const double fraction = std::ldexp(
      static_cast<double>(bits & ((1u << mantissa_bits) - 1)), -mantissa_bits);
  double value;
  if (exponent == 0) {
    value = std::ldexp(fraction, 1 - bias);
  } else if (exponent == (1 << exponent_bits) - 1 &&
             format != FloatFormat::kFloat8E4M3FN) {
    value = HUGE_VAL;
  } else {
    value = std::ldexp(1 + fraction, exponent - bias);
  }
  return negative ? -value : value;
}

// The nearest value of `format`, ties to even.
uint64_t Encode(FloatFormat format, double value) {
  if (format == FloatFormat::kFloat64) return DoubleToBits(value);
  const int mantissa_bits = MantissaBits(format);
  const int exponent_bits = ExponentBits(format);
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const double magnitude = std::fabs(value);
  const bool is_e4m3fn = format == FloatFormat::kFloat8E4M3FN;
  const double overflow =
      std::ldexp(is_e4m3fn ? 1.875 : 2.0,
                 (1 << exponent_bits) - (is_e4m3fn ? 1 : 2) - bias);
  uint64_t bits;
  int exponent =
      std::max(magnitude == 0 ? 1 - bias : std::ilogb(magnitude), 1 - bias);
  const double place =
      std::ldexp(1.0, std::min(exponent, 1023) - mantissa_bits);
  if (magnitude < overflow &&
      std::nearbyint(magnitude / place) * place < overflow) {
    // The smallest normal number counts as many places as it has exponent 1.
    bits = static_cast<uint64_t>(std::nearbyint(magnitude / place)) +
           (static_cast<uint64_t>(exponent - (1 - bias)) << mantissa_bits);
  } else if (is_e4m3fn) {
    bits = 0x7f;
  } else {
    bits = ((uint64_t{1} << exponent_bits) - 1) << mantissa_bits;
  }
  if (std::signbit(value)) bits |= uint64_t{1} << (SizeOf(format) * 8 - 1);
  return bits;
}

uint64_t ExpectedNan(FloatFormat from, uint64_t bits, FloatFormat to) {
  const uint64_t sign = bits >> (SizeOf(from) * 8 - 1);
  const int to_mantissa = MantissaBits(to);
  // Left-aligned, so that what stays is the top.
  const uint64_t payload = bits << (64 - MantissaBits(from));
  const uint64_t exponent = ((uint64_t{1} << ExponentBits(to)) - 1)
                            << to_mantissa;
  uint64_t nan = exponent | payload >> (64 - to_mantissa) |
                 uint64_t{1} << (to_mantissa - 1);
  if (to == FloatFormat::kFloat8E4M3FN) nan = 0x7f;
  return nan | sign << (SizeOf(to) * 8 - 1);
}

uint64_t Expected(FloatFormat from, uint64_t bits, FloatFormat to) {
  if (IsNanBits(from, bits)) return ExpectedNan(from, bits, to);
  double value = Decode(from, bits);
  // As LibTorch does, which rounds twice.
  if (from == FloatFormat::kFloat64) {
    value = Decode(FloatFormat::kFloat32, Encode(FloatFormat::kFloat32, value));
  }
  return Encode(to, value);
}

// ---- Helpers ----

const char* NameOf(CpuPath path) {
  return path == CpuPath::kScalar ? "scalar" : "AVX2 and F16C";
}

template <typename Function>
void ForEachPair(Function function) {
  for (FloatFormat from : kAllFloatFormats) {
    for (FloatFormat to : kAllFloatFormats) {
      if (from == to) continue;
      SCOPED_TRACE(PairName(from, to));
      function(from, to);
    }
  }
}

// Patterns from all over the format; every fifth is a NaN (now and then an
// infinity), so that NaNs stand at every place of a vector.
Elements SomePatterns(FloatFormat format, int64_t count) {
  static const auto* const all = new std::map<FloatFormat, Elements>([] {
    std::map<FloatFormat, Elements> patterns;
    for (FloatFormat f : kAllFloatFormats) patterns.emplace(f, TestPatterns(f));
    return patterns;
  }());
  const Elements& from = all->at(format);
  const uint64_t exponent = ((uint64_t{1} << ExponentBits(format)) - 1)
                            << MantissaBits(format);
  Elements some{.format = format, .bytes = {}};
  for (int64_t i = 0; i < count; ++i) {
    some.Append(from[i * 7919 % from.size()] | (i % 5 == 0 ? exponent : 0));
  }
  return some;
}

// ---- Values ----

class ConvertPathTest : public ::testing::TestWithParam<CpuPath> {};

INSTANTIATE_TEST_SUITE_P(Paths, ConvertPathTest,
                         ::testing::ValuesIn(SupportedCpuPaths()),
                         [](const auto& info) {
                           return info.param == CpuPath::kScalar ? "Scalar"
                                                                 : "Avx2F16c";
                         });

TEST_P(ConvertPathTest, GivesTheNearestValueAndKeepsNans) {
  for (FloatFormat from : kAllFloatFormats) {
    const Elements src = TestPatterns(from);
    for (FloatFormat to : kAllFloatFormats) {
      if (from == to) continue;
      const Elements dst = ConvertBy(GetParam(), src, to);
      for (int64_t i = 0; i < src.size(); ++i) {
        const uint64_t expected = Expected(from, src[i], to);
        ASSERT_EQ(dst[i], expected)
            << PairName(from, to) << std::hex << ": 0x" << src[i] << " gave 0x"
            << dst[i] << ", not 0x" << expected;
      }
    }
  }
}

struct Literal {
  Dtype from;
  uint64_t bits;
  Dtype to;
  uint64_t expected;
};

// Read off by hand from the definitions of the formats.
constexpr Literal kLiterals[] = {
    // 1, the greatest number, the least normal, the least subnormal.
    {Dtype::kFloat16, 0x3c00, Dtype::kFloat32, 0x3f800000},
    {Dtype::kFloat16, 0x7bff, Dtype::kFloat32, 0x477fe000},
    {Dtype::kFloat16, 0x0400, Dtype::kFloat32, 0x38800000},
    {Dtype::kFloat16, 0x8001, Dtype::kFloat32, 0xb3800000},
    // Overflow begins half way past the greatest number.
    {Dtype::kFloat32, 0x477fefff, Dtype::kFloat16, 0x7bff},
    {Dtype::kFloat32, 0x477ff000, Dtype::kFloat16, 0x7c00},
    {Dtype::kFloat32, 0x7f7fffff, Dtype::kBfloat16, 0x7f80},
    // Ties go to even.
    {Dtype::kFloat32, 0x3f808000, Dtype::kBfloat16, 0x3f80},
    {Dtype::kFloat32, 0x3f818000, Dtype::kBfloat16, 0x3f82},
    {Dtype::kFloat32, 0x3f808001, Dtype::kBfloat16, 0x3f81},
    // 1 + 2^-11 + 2^-40 is nearest to 1 + 2^-10, but its float32 is a tie.
    {Dtype::kFloat64, 0x3ff0020000001000, Dtype::kFloat16, 0x3c00},
    // 448 is the greatest e4m3fn, 464 a tie with what is the NaN.
    {Dtype::kFloat32, 0x43e80000, Dtype::kFloat8E4M3FN, 0x7e},
    {Dtype::kFloat32, 0x43e80001, Dtype::kFloat8E4M3FN, 0x7f},
    {Dtype::kFloat32, 0xff800000, Dtype::kFloat8E4M3FN, 0xff},
    {Dtype::kFloat8E4M3FN, 0x01, Dtype::kFloat32, 0x3b000000},
    // 57344 is the greatest e5m2, 61440 a tie with infinity.
    {Dtype::kFloat32, 0x476fffff, Dtype::kFloat8E5M2, 0x7b},
    {Dtype::kFloat32, 0x47700000, Dtype::kFloat8E5M2, 0x7c},
    // Subnormal float32 stay, as bfloat16 and as float64.
    {Dtype::kFloat32, 0x00010000, Dtype::kBfloat16, 0x0001},
    {Dtype::kFloat32, 0x80000001, Dtype::kFloat64, 0xb6a0000000000000},
    {Dtype::kFloat64, 0x36a0000000000000, Dtype::kFloat32, 0x00000001},
    // NaNs: sign and top of the payload; the quiet bit is set.
    {Dtype::kFloat32, 0x7f800001, Dtype::kFloat16, 0x7e00},
    {Dtype::kFloat32, 0xffa02000, Dtype::kFloat16, 0xff01},
    {Dtype::kBfloat16, 0xff81, Dtype::kFloat32, 0xffc10000},
    {Dtype::kFloat8E5M2, 0x7d, Dtype::kFloat16, 0x7f00},
    {Dtype::kFloat16, 0xfd00, Dtype::kFloat8E4M3FN, 0xff},
};

TEST_P(ConvertPathTest, GivesTheLiteralCases) {
  for (const Literal& row : kLiterals) {
    const int first = static_cast<int>(Dtype::kFloat8E4M3FN);
    const auto from = FloatFormat{static_cast<int>(row.from) - first};
    const auto to = FloatFormat{static_cast<int>(row.to) - first};
    Elements src{.format = from, .bytes = {}};
    src.Append(row.bits);
    EXPECT_EQ(ConvertBy(GetParam(), src, to)[0], row.expected)
        << PairName(from, to) << std::hex << ": 0x" << row.bits;
  }
}

// Each path agrees with the reference above, hence with the others; this says
// which of them this machine could try.
TEST(ConvertTest, TriesTheFastPathWhereThereIsOne) {
  const std::vector<CpuPath> paths = SupportedCpuPaths();
  EXPECT_EQ(BestCpuPath(), paths.back());
  for (CpuPath path : paths) RecordProperty(NameOf(path), "tried");
}

// ---- Places ----

// Whatever the length and the alignment, each element becomes the same bits,
// and no byte around the output changes. The buffers end with the last element,
// for sanitizers to see what is read and written.
TEST_P(ConvertPathTest, TreatsEveryPositionAlike) {
  constexpr int64_t kMaxCount = 67;
  constexpr uint8_t kGuard = 0xa5;
  ForEachPair([&](FloatFormat from, FloatFormat to) {
    const Elements src = SomePatterns(from, 1024 + kMaxCount);
    const Elements expected = ConvertBy(GetParam(), src, to);
    for (int64_t count = 0; count <= kMaxCount; ++count) {
      for (int64_t offset = 0; offset < 8; ++offset) {
        const int64_t first = (count * 8 + offset) * 13 % 1024;
        std::vector<uint8_t> in(offset + count * SizeOf(from));
        std::vector<uint8_t> out(7 - offset + count * SizeOf(to), kGuard);
        std::copy_n(src.bytes.begin() + first * SizeOf(from),
                    count * SizeOf(from), in.begin() + offset);
        ConvertBy(GetParam(), from, in.data() + offset, to,
                  out.data() + 7 - offset, count);
        ASSERT_EQ(std::count(out.begin(), out.begin() + 7 - offset, kGuard),
                  7 - offset);
        ASSERT_TRUE(std::equal(out.begin() + 7 - offset, out.end(),
                               expected.bytes.begin() + first * SizeOf(to)))
            << count << " elements, offset " << offset;
      }
    }
  });
}

// Large outputs are stored around the caches, in a loop of their own.
TEST_P(ConvertPathTest, TreatsLargeRangesAlike) {
  constexpr int64_t kPeriod = 4099;
  constexpr int64_t kBytes = int64_t{33} << 20;
  ForEachPair([&](FloatFormat from, FloatFormat to) {
    const int64_t count = kBytes / (SizeOf(from) + SizeOf(to));
    const Elements period = SomePatterns(from, kPeriod);
    const Elements expected = ConvertBy(GetParam(), period, to);
    std::vector<uint8_t> in(count * SizeOf(from));
    for (size_t i = 0; i < in.size(); i += period.bytes.size()) {
      std::copy_n(period.bytes.begin(),
                  std::min(period.bytes.size(), in.size() - i), in.begin() + i);
    }
    for (int64_t offset :
         {int64_t{0}, int64_t{1}, SizeOf(to), 3 * SizeOf(to)}) {
      std::vector<uint8_t> out(offset + count * SizeOf(to));
      ConvertBy(GetParam(), from, in.data(), to, out.data() + offset, count);
      for (size_t i = 0; i < out.size() - offset; i += expected.bytes.size()) {
        const size_t n =
            std::min(expected.bytes.size(), out.size() - offset - i);
        ASSERT_EQ(
            std::memcmp(out.data() + offset + i, expected.bytes.data(), n), 0)
            << "offset " << offset << ", within " << n << " bytes from " << i;
      }
    }
  });
}

#if defined(__x86_64__)
// Rounding towards zero, up, and down; flush-to-zero; denormals-are-zero; and
// no exception masked, so that a trap would end the test.
TEST_P(ConvertPathTest, DoesNotDependOnTheFloatingPointEnvironment) {
  constexpr unsigned kEnvironments[] = {0x7f80, 0x5f80, 0x3f80,
                                        0x9f80, 0x1fc0, 0x0000};
  ForEachPair([&](FloatFormat from, FloatFormat to) {
    const Elements src = SomePatterns(from, 5003);
    const Elements expected = ConvertBy(GetParam(), src, to);
    const unsigned callers = _mm_getcsr();
    for (unsigned environment : kEnvironments) {
      Elements dst{.format = to,
                   .bytes = std::vector<uint8_t>(expected.bytes.size())};
      _mm_setcsr(environment);
      ConvertBy(GetParam(), from, src.bytes.data(), to, dst.bytes.data(),
                src.size());
      const unsigned after = _mm_getcsr();
      _mm_setcsr(callers);
      ASSERT_EQ(after, environment);
      ASSERT_EQ(dst.bytes, expected.bytes) << std::hex << environment;
    }
  });
}
#endif

// ---- The public functions ----

TEST(ConvertTest, ConvertsEveryPairOfFloatingPointDtypes) {
  ForEachPair([](FloatFormat from, FloatFormat to) {
    EXPECT_TRUE(CanConvert(DtypeOf(from), DtypeOf(to)));
    const Elements src = SomePatterns(from, 1000);
    std::vector<uint8_t> dst(src.size() * SizeOf(to));
    ASSERT_THAT(Convert(DtypeOf(from), src.bytes.data(), DtypeOf(to),
                        dst.data(), src.size()),
                IsOk());
    EXPECT_EQ(dst, ConvertBy(CpuPath::kScalar, src, to).bytes);
  });
}

TEST(ConvertTest, CopiesWhatNeedsNoConversion) {
  for (Dtype dtype : kAllDtypes) {
    EXPECT_TRUE(CanConvert(dtype, dtype));
    // Every byte value, so every NaN of the small formats: bits, not values.
    std::vector<uint8_t> src(16 * 256);
    for (size_t i = 0; i < src.size(); ++i) src[i] = static_cast<uint8_t>(i);
    std::vector<uint8_t> dst(src.size());
    ASSERT_THAT(Convert(dtype, src.data(), dtype, dst.data(),
                        src.size() / DtypeSize(dtype)),
                IsOk());
    EXPECT_EQ(dst, src);
  }
}

TEST(ConvertTest, NamesBothDtypesOfAPairItDoesNotKnow) {
  for (Dtype from : kAllDtypes) {
    for (Dtype to : kAllDtypes) {
      if (CanConvert(from, to)) continue;
      EXPECT_FALSE(IsFloatingPoint(from) && IsFloatingPoint(to));
      EXPECT_THAT(Convert(from, nullptr, to, nullptr, 1),
                  StatusIs(absl::StatusCode::kUnimplemented,
                           HasSubstr(absl::StrCat("from ", DtypeName(from),
                                                  " to ", DtypeName(to)))));
    }
  }
}

// The example of README.md.
absl::StatusOr<std::vector<float>> ReadAsFloat(absl::string_view dtype_name,
                                               absl::string_view bytes) {
  absl::StatusOr<Dtype> dtype = DtypeFromSafetensors(dtype_name);
  if (!dtype.ok()) return dtype.status();
  std::vector<float> values(bytes.size() / DtypeSize(*dtype));
  absl::Status status = Convert(*dtype, bytes.data(), Dtype::kFloat32,
                                values.data(), values.size());
  if (!status.ok()) return status;
  return values;
}

TEST(ConvertTest, DoesWhatTheReadmeShows) {
  const std::string bytes("\x80\x3f\x00\xc0", 4);
  EXPECT_THAT(ReadAsFloat("BF16", bytes), IsOkAndHolds(ElementsAre(1, -2)));
  EXPECT_THAT(ReadAsFloat("I16", bytes),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("from int16 to float32")));
  EXPECT_THAT(ReadAsFloat("F6", bytes),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("'F6'")));
}

TEST(ConvertTest, TouchesNothingWhenThereIsNothing) {
  for (Dtype to : {Dtype::kFloat32, Dtype::kFloat16}) {
    EXPECT_THAT(Convert(Dtype::kFloat16, nullptr, to, nullptr, 0), IsOk());
  }
}

}  // namespace
}  // namespace pretrained
