#include <cstdint>
#include <cstring>
#include <type_traits>

#include "dtypes/convert_kernels.h"

// The portable path: every value passes through the bits of a float32, as in
// LibTorch, by integer arithmetic alone. So it depends neither on the CPU nor
// on the thread's floating-point environment.

namespace pretrained::dtypes_internal {
namespace {

// A binary floating-point format: sign, exponent, mantissa, high to low.
// kFinite: all ones is the only NaN and there is no infinity (e4m3fn).
template <typename B, int kExponentBitsV, int kMantissaBitsV,
          bool kFiniteV = false>
struct Format {
  using Bits = B;
  static constexpr int kExponentBits = kExponentBitsV;
  static constexpr int kMantissaBits = kMantissaBitsV;
  static constexpr bool kFinite = kFiniteV;
  static constexpr int kBias = (1 << (kExponentBits - 1)) - 1;
  static constexpr B kSign = B{1} << (kExponentBits + kMantissaBits);
  static constexpr B kMagnitude = kSign - 1;
  // What an infinity looks like, where there is one.
  static constexpr B kInfinity = kMagnitude << kMantissaBits & kMagnitude;
  static constexpr B kQuiet = B{1} << (kMantissaBits - 1);

  static constexpr bool IsNan(B magnitude) {
    return kFinite ? magnitude == kMagnitude : magnitude > kInfinity;
  }
};

using E4M3FN = Format<uint8_t, 4, 3, /*kFinite=*/true>;
using E5M2 = Format<uint8_t, 5, 2>;
using F16 = Format<uint16_t, 5, 10>;
using BF16 = Format<uint16_t, 8, 7>;
using F32 = Format<uint32_t, 8, 23>;
using F64 = Format<uint64_t, 11, 52>;

// `value` / 2^shift, ties to even. 0 < shift < the width of Bits.
template <typename Bits>
constexpr Bits RoundingShift(Bits value, int shift) {
  const Bits odd = value >> shift & 1;
  const Bits half_less_one = (Bits{1} << (shift - 1)) - 1;
  return (value + half_less_one + odd) >> shift;
}

// To a format that has every value of From: exact.
template <typename From, typename To>
constexpr typename To::Bits Widen(typename From::Bits bits) {
  using Bits = typename To::Bits;
  constexpr int kShift = To::kMantissaBits - From::kMantissaBits;
  const Bits magnitude = bits & From::kMagnitude;
  const Bits sign = Bits{(bits & From::kSign) != 0}
                    << (To::kExponentBits + To::kMantissaBits);
  if (From::IsNan(bits & From::kMagnitude)) {
    return sign | To::kInfinity | To::kQuiet |
           ((magnitude << kShift) & (To::kQuiet - 1));
  }
  if (!From::kFinite && magnitude == From::kInfinity) {
    return sign | To::kInfinity;
  }
  if constexpr (From::kExponentBits == To::kExponentBits) {
    return sign | magnitude << kShift;  // Subnormals stay subnormal.
  } else {
    constexpr Bits kBiasChange = Bits{To::kBias - From::kBias}
                                 << To::kMantissaBits;
    if (magnitude >> From::kMantissaBits != 0) {
      return sign | ((magnitude << kShift) + kBiasChange);
    }
    if (magnitude == 0) return sign;
    // A subnormal becomes normal: move its leading 1 to where the implicit bit
    // stands, and take as much from the exponent.
    const int up =
        From::kMantissaBits - (63 - __builtin_clzll(uint64_t{magnitude}));
    return sign | ((magnitude << (kShift + up)) + kBiasChange -
                   (static_cast<Bits>(up) << To::kMantissaBits));
  }
}

// To a format with fewer bits: ties to even, overflow to infinity, or to NaN
// where there is none.
template <typename From, typename To>
constexpr typename To::Bits Narrow(typename From::Bits bits) {
  using Bits = typename From::Bits;
  constexpr int kShift = From::kMantissaBits - To::kMantissaBits;
  constexpr Bits kBiasChange = Bits{From::kBias - To::kBias}
                               << From::kMantissaBits;
  constexpr Bits kMinNormal = kBiasChange + (Bits{1} << From::kMantissaBits);
  constexpr Bits kLimit = To::kFinite ? To::kMagnitude : To::kInfinity;
  const Bits magnitude = bits & From::kMagnitude;
  const Bits sign = Bits{(bits & From::kSign) != 0}
                    << (To::kExponentBits + To::kMantissaBits);
  Bits result = 0;
  if (From::IsNan(magnitude)) {
    result = To::kFinite ? kLimit
                         : To::kInfinity | To::kQuiet |
                               (magnitude >> kShift & (To::kQuiet - 1));
  } else if (magnitude >= kMinNormal || kBiasChange == 0) {
    result = RoundingShift<Bits>(magnitude - kBiasChange, kShift);
    if (result > kLimit) result = kLimit;
  } else {
    // The implicit 1 becomes explicit, and the last place is worth that of the
    // smallest normal number. From's own subnormals are far below it.
    const int exponent = static_cast<int>(magnitude >> From::kMantissaBits);
    const int shift = kShift + From::kBias - To::kBias + 1 - exponent;
    const Bits significand =
        (magnitude & ((Bits{1} << From::kMantissaBits) - 1)) |
        Bits{1} << From::kMantissaBits;
    if (shift <= From::kMantissaBits + 1) {
      result = RoundingShift<Bits>(significand, shift);
    }
  }
  return static_cast<typename To::Bits>(sign | result);
}

template <typename From>
constexpr uint32_t ToFloat32(typename From::Bits bits) {
  if constexpr (std::is_same_v<From, F32>) {
    return bits;
  } else if constexpr (std::is_same_v<From, F64>) {
    return Narrow<F64, F32>(bits);
  } else {
    return Widen<From, F32>(bits);
  }
}

template <typename To>
constexpr typename To::Bits FromFloat32(uint32_t bits) {
  if constexpr (std::is_same_v<To, F32>) {
    return bits;
  } else if constexpr (std::is_same_v<To, F64>) {
    return Widen<F32, F64>(bits);
  } else {
    return Narrow<F32, To>(bits);
  }
}

template <typename From, typename To>
void ConvertRange(const void* src, void* dst, int64_t count) {
  const char* in = static_cast<const char*>(src);
  char* out = static_cast<char*>(dst);
  for (int64_t i = 0; i < count; ++i) {
    typename From::Bits from;
    std::memcpy(&from, in + i * sizeof(from), sizeof(from));
    const typename To::Bits to = FromFloat32<To>(ToFloat32<From>(from));
    std::memcpy(out + i * sizeof(to), &to, sizeof(to));
  }
}

using Kernel = void (*)(const void* src, void* dst, int64_t count);

template <typename From>
Kernel KernelTo(FloatFormat to) {
  switch (to) {
    case FloatFormat::kFloat8E4M3FN:
      return ConvertRange<From, E4M3FN>;
    case FloatFormat::kFloat8E5M2:
      return ConvertRange<From, E5M2>;
    case FloatFormat::kFloat16:
      return ConvertRange<From, F16>;
    case FloatFormat::kBfloat16:
      return ConvertRange<From, BF16>;
    case FloatFormat::kFloat32:
      return ConvertRange<From, F32>;
    case FloatFormat::kFloat64:
      return ConvertRange<From, F64>;
  }
  return nullptr;
}

Kernel KernelFor(FloatFormat from, FloatFormat to) {
  switch (from) {
    case FloatFormat::kFloat8E4M3FN:
      return KernelTo<E4M3FN>(to);
    case FloatFormat::kFloat8E5M2:
      return KernelTo<E5M2>(to);
    case FloatFormat::kFloat16:
      return KernelTo<F16>(to);
    case FloatFormat::kBfloat16:
      return KernelTo<BF16>(to);
    case FloatFormat::kFloat32:
      return KernelTo<F32>(to);
    case FloatFormat::kFloat64:
      return KernelTo<F64>(to);
  }
  return nullptr;
}

}  // namespace

void ConvertScalar(FloatFormat from, const void* src, FloatFormat to, void* dst,
                   int64_t count) {
  KernelFor(from, to)(src, dst, count);
}

}  // namespace pretrained::dtypes_internal
