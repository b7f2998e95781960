#include "dtypes/convert_testutil.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "dtypes/convert_kernels.h"
#include "dtypes/dtype.h"

namespace pretrained::dtypes_internal {
namespace {

uint64_t BitsOf(FloatFormat format, double value) {
  if (format == FloatFormat::kFloat32) {
    const float narrow = static_cast<float>(value);
    uint32_t bits;
    std::memcpy(&bits, &narrow, sizeof(bits));
    return bits;
  }
  uint64_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

// Appends every value of `narrow` and every half-way point, both signs, and the
// neighbours of each. The neighbours of a float64 are those of a float32 too,
// and the points half way to them: there, rounding twice differs from once.
void AppendAround(FloatFormat narrow, Elements* out) {
  const int mantissa_bits = MantissaBits(narrow);
  const int bias = (1 << (ExponentBits(narrow) - 1)) - 1;
  const bool is_double = out->format == FloatFormat::kFloat64;
  const uint64_t sign = uint64_t{1} << (SizeOf(out->format) * 8 - 1);
  // Twice as many steps as there are magnitudes: odd ones are half way. Those
  // past the greatest number show where overflow begins.
  const int64_t steps = int64_t{2} << (SizeOf(narrow) * 8 - 1);
  for (int64_t step = 0; step < steps; ++step) {
    const int exponent = static_cast<int>(step >> (mantissa_bits + 1));
    const int64_t fraction = step & ((int64_t{2} << mantissa_bits) - 1);
    const int64_t one = exponent == 0 ? 0 : int64_t{2} << mantissa_bits;
    const double value =
        std::ldexp(static_cast<double>(one + fraction),
                   std::max(exponent, 1) - bias - mantissa_bits - 1);
    const uint64_t bits = BitsOf(out->format, value);
    std::vector<int64_t> offsets = {-1, 0, 1};
    if (is_double) {
      const int64_t ulp = int64_t{1} << (52 - 23);  // Of a float32.
      offsets = {-ulp, -ulp / 2 - 1, -ulp / 2,    -1, 0,
                 1,    ulp / 2,      ulp / 2 + 1, ulp};
    }
    for (int64_t offset : offsets) {
      const uint64_t near = (bits + offset) & (sign - 1);
      out->Append(near);
      out->Append(near | sign);
    }
  }
}

// Each payload bit alone, all of them, and none; quiet and signalling.
void AppendNans(Elements* out) {
  const int mantissa_bits = MantissaBits(out->format);
  const uint64_t infinity = ((uint64_t{1} << ExponentBits(out->format)) - 1)
                            << mantissa_bits;
  const uint64_t sign = uint64_t{1} << (SizeOf(out->format) * 8 - 1);
  const uint64_t quiet = uint64_t{1} << (mantissa_bits - 1);
  std::vector<uint64_t> payloads = {0, quiet - 1};
  for (int bit = 0; bit < mantissa_bits - 1; ++bit) {
    payloads.push_back(uint64_t{1} << bit);
  }
  for (uint64_t payload : payloads) {
    for (uint64_t top : {uint64_t{0}, quiet, sign, sign | quiet}) {
      out->Append(infinity | payload | top);  // Infinity too.
    }
  }
}

void AppendStrided(Elements* out) {
  constexpr int kCount = 1 << 19;
  const int bits = static_cast<int>(SizeOf(out->format)) * 8;
  // Odd, so that the low bits vary as well.
  const uint64_t stride =
      (std::numeric_limits<uint64_t>::max() >> (64 - bits)) / kCount | 1;
  for (uint64_t i = 0; i < kCount; ++i) out->Append(i * stride);
}

void AppendRandom(Elements* out) {
  constexpr int kCount = 1 << 20;
  std::mt19937_64 random(20231123);
  const int mantissa_bits = MantissaBits(out->format);
  const int bias = (1 << (ExponentBits(out->format) - 1)) - 1;
  const uint64_t mantissa = (uint64_t{1} << mantissa_bits) - 1;
  const uint64_t sign = uint64_t{1} << (SizeOf(out->format) * 8 - 1);
  for (int i = 0; i < kCount; ++i) {
    uint64_t bits = random();
    // Every second one within the exponents of float16, and often with few
    // mantissa bits, as a tie has.
    if (i % 2 == 0) {
      const uint64_t exponent = bias - 28 + random() % 48;
      bits = (bits & (sign | mantissa)) | exponent << mantissa_bits;
      bits &= ~uint64_t{0} << random() % mantissa_bits;
    }
    out->Append(bits);
  }
}

}  // namespace

std::vector<CpuPath> SupportedCpuPaths() {
  std::vector<CpuPath> paths;
  for (CpuPath path : {CpuPath::kScalar, CpuPath::kAvx2F16c}) {
    if (CpuSupports(path)) paths.push_back(path);
  }
  return paths;
}

Dtype DtypeOf(FloatFormat format) {
  return static_cast<Dtype>(static_cast<int>(Dtype::kFloat8E4M3FN) +
                            static_cast<int>(format));
}

int64_t SizeOf(FloatFormat format) { return DtypeSize(DtypeOf(format)); }

std::string PairName(FloatFormat from, FloatFormat to) {
  return absl::StrCat(DtypeName(DtypeOf(from)), " to ", DtypeName(DtypeOf(to)));
}

int ExponentBits(FloatFormat format) {
  constexpr int kBits[] = {4, 5, 5, 8, 8, 11};
  return kBits[static_cast<int>(format)];
}

int MantissaBits(FloatFormat format) {
  return static_cast<int>(SizeOf(format)) * 8 - 1 - ExponentBits(format);
}

uint64_t Elements::operator[](int64_t i) const {
  uint64_t bits = 0;
  std::memcpy(&bits, bytes.data() + i * SizeOf(format), SizeOf(format));
  return bits;
}

void Elements::Append(uint64_t bits) {
  const uint8_t* first = reinterpret_cast<const uint8_t*>(&bits);
  bytes.insert(bytes.end(), first, first + SizeOf(format));
}

Elements TestPatterns(FloatFormat format) {
  Elements out{.format = format, .bytes = {}};
  if (SizeOf(format) <= 2) {
    const uint64_t count = uint64_t{1} << SizeOf(format) * 8;
    for (uint64_t bits = 0; bits < count; ++bits) out.Append(bits);
    return out;
  }
  for (FloatFormat narrow : kAllFloatFormats) {
    if (SizeOf(narrow) <= 2) AppendAround(narrow, &out);
  }
  AppendNans(&out);
  AppendStrided(&out);
  AppendRandom(&out);
  return out;
}

void ConvertBy(CpuPath path, FloatFormat from, const void* src, FloatFormat to,
               void* dst, int64_t count) {
  switch (path) {
    case CpuPath::kScalar:
      return ConvertScalar(from, src, to, dst, count);
    case CpuPath::kAvx2F16c:
      return ConvertAvx2F16c(from, src, to, dst, count);
  }
}

Elements ConvertBy(CpuPath path, const Elements& src, FloatFormat to) {
  Elements dst{.format = to,
               .bytes = std::vector<uint8_t>(src.size() * SizeOf(to))};
  ConvertBy(path, src.format, src.bytes.data(), to, dst.bytes.data(),
            src.size());
  return dst;
}

bool IsNanBits(FloatFormat format, uint64_t bits) {
  const uint64_t magnitude =
      bits & ((uint64_t{1} << (SizeOf(format) * 8 - 1)) - 1);
  if (format == FloatFormat::kFloat8E4M3FN) return magnitude == 0x7f;
  const int mantissa_bits = MantissaBits(format);
  return magnitude > ((uint64_t{1} << ExponentBits(format)) - 1)
                         << mantissa_bits;
}

}  // namespace pretrained::dtypes_internal
