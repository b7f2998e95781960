#ifndef PRETRAINED_DTYPES_CONVERT_AVX2_BLOCKS_H_
#define PRETRAINED_DTYPES_CONVERT_AVX2_BLOCKS_H_

// One block of 32 elements at a time: a part of convert_avx2.cc, and for no
// other file. Everything is in an unnamed namespace, so that code for AVX2
// stays in the one file that is compiled for it.
//
// 32, because 32 one-byte elements fill a register. A pair of formats is a Load
// (block to four registers of float32, in order) and a Store (back), unless a
// shorter way is known: see Pair.

#include <immintrin.h>

#include <cstdint>

namespace pretrained::dtypes_internal {
namespace {

#define PRETRAINED_INLINE [[gnu::always_inline]] static inline

constexpr int kBlock = 32;

struct Cached {
  static constexpr bool kStreams = false;
  PRETRAINED_INLINE void Put(uint8_t* dst, __m256i value) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(dst), value);
  }
  PRETRAINED_INLINE void Put(uint8_t* dst, __m128i value) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(dst), value);
  }
};

// dst must be aligned to the size of what is put.
struct Streaming {
  static constexpr bool kStreams = true;
  PRETRAINED_INLINE void Put(uint8_t* dst, __m256i value) {
    _mm256_stream_si256(reinterpret_cast<__m256i*>(dst), value);
  }
  PRETRAINED_INLINE void Put(uint8_t* dst, __m128i value) {
    _mm_stream_si128(reinterpret_cast<__m128i*>(dst), value);
  }
};

PRETRAINED_INLINE __m128i Get128(const uint8_t* src) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(src));
}
PRETRAINED_INLINE __m256i Get256(const uint8_t* src) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(src));
}
PRETRAINED_INLINE __m128i Low(__m256i v) { return _mm256_castsi256_si128(v); }
PRETRAINED_INLINE __m128i High(__m256i v) {
  return _mm256_extracti128_si256(v, 1);
}

// Quarters 0 2 1 3: what makes the in-lane unpack instructions that follow give
// elements in order, or puts in order what in-lane pack instructions gave.
PRETRAINED_INLINE __m256i SwapMiddle(__m256i v) {
  return _mm256_permute4x64_epi64(v, 0xd8);
}

// One block as float32; `a` holds elements 0 to 7, and so on.
struct Floats {
  __m256 a, b, c, d;
};

PRETRAINED_INLINE bool AnyNan(const Floats& v) {
  const __m256 ab = _mm256_cmp_ps(v.a, v.b, _CMP_UNORD_Q);
  const __m256 cd = _mm256_cmp_ps(v.c, v.d, _CMP_UNORD_Q);
  return _mm256_movemask_ps(_mm256_or_ps(ab, cd)) != 0;
}

PRETRAINED_INLINE __m256i IsNan(__m256 v) {
  return _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
}

// Two registers of 16 elements of two bytes.
struct Halves {
  __m256i lo, hi;
};

// The upper halves of float32 are bfloat16.
PRETRAINED_INLINE Floats WidenBfloat16(Halves v) {
  const __m256i zero = _mm256_setzero_si256();
  const __m256i lo = SwapMiddle(v.lo);
  const __m256i hi = SwapMiddle(v.hi);
  return {_mm256_castsi256_ps(_mm256_unpacklo_epi16(zero, lo)),
          _mm256_castsi256_ps(_mm256_unpackhi_epi16(zero, lo)),
          _mm256_castsi256_ps(_mm256_unpacklo_epi16(zero, hi)),
          _mm256_castsi256_ps(_mm256_unpackhi_epi16(zero, hi))};
}

// Packs the low halves of 32-bit lanes, the high halves being zero.
PRETRAINED_INLINE __m256i PackHalves(__m256i a, __m256i b) {
  return SwapMiddle(_mm256_packus_epi32(a, b));
}

// ---- float8 ----

// float8_e4m3fn to a format of two bytes, both bytes of which are found apart.
// A normal number c (without its sign) becomes (c << kShift) + kOffset; the
// eight subnormal ones stand in a table; the NaN gets an exponent of all ones.
template <int kShift, int kOffset, int kExponentOfNan>
PRETRAINED_INLINE Halves WidenE4M3(__m256i bytes, __m128i low_table,
                                   __m128i high_table) {
  const __m256i b = SwapMiddle(bytes);
  const __m256i c = _mm256_and_si256(b, _mm256_set1_epi8(0x7f));
  const __m256i subnormal = _mm256_cmpgt_epi8(_mm256_set1_epi8(8), c);
  const __m256i is_nan = _mm256_cmpeq_epi8(c, _mm256_set1_epi8(0x7f));
  __m256i low = _mm256_and_si256(
      _mm256_slli_epi16(b, kShift),
      _mm256_set1_epi8(static_cast<char>(0xff << kShift & 0xff)));
  __m256i high = _mm256_and_si256(_mm256_srli_epi16(b, 8 - kShift),
                                  _mm256_set1_epi8(0x7f >> (8 - kShift)));
  high = _mm256_add_epi8(high, _mm256_set1_epi8(kOffset >> 8));
  high = _mm256_or_si256(
      high, _mm256_and_si256(is_nan, _mm256_set1_epi8(kExponentOfNan >> 8)));
  low = _mm256_blendv_epi8(
      low, _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(low_table), c),
      subnormal);
  high = _mm256_blendv_epi8(
      high, _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(high_table), c),
      subnormal);
  high = _mm256_or_si256(
      high, _mm256_and_si256(b, _mm256_set1_epi8(static_cast<char>(0x80))));
  return {_mm256_unpacklo_epi8(low, high), _mm256_unpackhi_epi8(low, high)};
}

PRETRAINED_INLINE Halves E4M3ToFloat16(__m256i bytes) {
  // 2^-9 is 0x1800; then 0x1c00, 0x1e00, 0x2000, 0x2100, 0x2200, 0x2300.
  return WidenE4M3<7, 0x2000, 0x7c00>(
      bytes, _mm_setzero_si128(),
      _mm_setr_epi8(0, 0x18, 0x1c, 0x1e, 0x20, 0x21, 0x22, 0x23, 0, 0, 0, 0, 0,
                    0, 0, 0));
}

PRETRAINED_INLINE Halves E4M3ToBfloat16(__m256i bytes) {
  // 2^-9 is 0x3b00; then 0x3b80, 0x3bc0, 0x3c00, 0x3c20, 0x3c40, 0x3c60.
  constexpr char k80 = static_cast<char>(0x80);
  constexpr char kC0 = static_cast<char>(0xc0);
  return WidenE4M3<4, 0x3c00, 0x7f00>(
      bytes,
      _mm_setr_epi8(0, 0, k80, kC0, 0, 0x20, 0x40, 0x60, 0, 0, 0, 0, 0, 0, 0,
                    0),
      _mm_setr_epi8(0, 0x3b, 0x3b, 0x3b, 0x3c, 0x3c, 0x3c, 0x3c, 0, 0, 0, 0, 0,
                    0, 0, 0));
}

// float8_e5m2 is the upper half of a float16.
PRETRAINED_INLINE Halves E5M2ToFloat16(__m256i bytes) {
  const __m256i zero = _mm256_setzero_si256();
  const __m256i b = SwapMiddle(bytes);
  return {_mm256_unpacklo_epi8(zero, b), _mm256_unpackhi_epi8(zero, b)};
}

// The low byte of each lane becomes the float8 nearest to |x|; the other bytes
// are left unspecified. x is not a NaN, unless kLimit is what stands for it.
//
// Adding 2^(E+23-M), E being the exponent of x, or the least one of float8 if
// that is greater, makes the adder round |x| (ties to even) to a multiple of
// the last of M mantissa bits, in subnormal numbers too, and leaves that
// multiple in the low bits of the sum. Adding E, less a bias, just above those
// M bits completes the float8: the leading 1 of a normal number is the carry
// that tells it from a subnormal. The bias cannot be subtracted from E for
// free, but an even constant that equals it modulo 256 can hide in the low bits
// of what is added to |x|.
template <int kMantissaBits, int kMinExponent, uint32_t kLimit>
PRETRAINED_INLINE __m256i NarrowToByte(__m256 x) {
  constexpr int kShift = 23 - kMantissaBits;
  constexpr uint32_t kMin = static_cast<uint32_t>(127 + kMinExponent) << 23;
  constexpr uint32_t kHidden = -(kMin >> kShift) & 0xff;
  constexpr uint32_t kMagic = (static_cast<uint32_t>(kShift) << 23) + kHidden;
  static_assert(kHidden % 2 == 0, "an odd one would turn ties to odd");
  const __m256i magnitude = _mm256_min_epi32(
      _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(0x7fffffff)),
      _mm256_set1_epi32(kLimit));
  const __m256i exponent = _mm256_max_epi32(
      _mm256_and_si256(magnitude, _mm256_set1_epi32(0x7f800000)),
      _mm256_set1_epi32(kMin));
  const __m256i magic = _mm256_add_epi32(exponent, _mm256_set1_epi32(kMagic));
  const __m256i sum = _mm256_castps_si256(_mm256_add_ps(
      _mm256_castsi256_ps(magnitude), _mm256_castsi256_ps(magic)));
  return _mm256_add_epi32(sum, _mm256_srli_epi32(exponent, kShift));
}

// Packs the low bytes of `code`, with the signs of `x`.
PRETRAINED_INLINE __m256i PackBytes(__m256i code_a, __m256i code_b,
                                    __m256i code_c, __m256i code_d,
                                    const Floats& x) {
  const __m256i mask = _mm256_set1_epi32(0xff);
  const __m256i code =
      _mm256_packus_epi16(_mm256_packus_epi32(_mm256_and_si256(code_a, mask),
                                              _mm256_and_si256(code_b, mask)),
                          _mm256_packus_epi32(_mm256_and_si256(code_c, mask),
                                              _mm256_and_si256(code_d, mask)));
  // Signed saturation keeps the sign bit.
  const __m256i sign = _mm256_packs_epi16(
      _mm256_packs_epi32(_mm256_castps_si256(x.a), _mm256_castps_si256(x.b)),
      _mm256_packs_epi32(_mm256_castps_si256(x.c), _mm256_castps_si256(x.d)));
  const __m256i packed = _mm256_or_si256(
      code, _mm256_and_si256(sign, _mm256_set1_epi8(static_cast<char>(0x80))));
  return _mm256_permutevar8x32_epi32(packed,
                                     _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

// ---- The formats ----

struct E4M3FN {
  static constexpr int kSize = 1;
  PRETRAINED_INLINE Floats Load(const uint8_t* src) {
    return WidenBfloat16(E4M3ToBfloat16(Get256(src)));
  }
  template <typename Sink>
  PRETRAINED_INLINE void Store(const Floats& v, uint8_t* dst) {
    // 480 is what the NaN would be worth; above 464 all round to it.
    Sink::Put(dst,
              PackBytes(Narrow(v.a), Narrow(v.b), Narrow(v.c), Narrow(v.d), v));
  }
  PRETRAINED_INLINE __m256i Narrow(__m256 x) {
    return NarrowToByte<3, -6, 0x43f00000>(x);
  }
};

struct E5M2 {
  static constexpr int kSize = 1;
  PRETRAINED_INLINE Floats Load(const uint8_t* src) {
    const Halves v = E5M2ToFloat16(Get256(src));
    return {_mm256_cvtph_ps(Low(v.lo)), _mm256_cvtph_ps(High(v.lo)),
            _mm256_cvtph_ps(Low(v.hi)), _mm256_cvtph_ps(High(v.hi))};
  }
  template <typename Sink>
  PRETRAINED_INLINE void Store(const Floats& v, uint8_t* dst) {
    __m256i a = Narrow(v.a), b = Narrow(v.b), c = Narrow(v.c), d = Narrow(v.d);
    if (AnyNan(v)) [[unlikely]] {
      a = PutNans(v.a, a);
      b = PutNans(v.b, b);
      c = PutNans(v.c, c);
      d = PutNans(v.d, d);
    }
    Sink::Put(dst, PackBytes(a, b, c, d, v));
  }
  PRETRAINED_INLINE __m256i Narrow(__m256 x) {
    return NarrowToByte<2, -14, 0x47800000>(x);  // 2^16 is infinity here.
  }
  PRETRAINED_INLINE __m256i PutNans(__m256 x, __m256i code) {
    const __m256i payload = _mm256_and_si256(
        _mm256_srli_epi32(_mm256_castps_si256(x), 21), _mm256_set1_epi32(1));
    return _mm256_blendv_epi8(
        code, _mm256_or_si256(payload, _mm256_set1_epi32(0x7e)), IsNan(x));
  }
};

struct F16 {
  static constexpr int kSize = 2;
  PRETRAINED_INLINE Floats Load(const uint8_t* src) {
    return {_mm256_cvtph_ps(Get128(src)), _mm256_cvtph_ps(Get128(src + 16)),
            _mm256_cvtph_ps(Get128(src + 32)),
            _mm256_cvtph_ps(Get128(src + 48))};
  }
  template <typename Sink>
  PRETRAINED_INLINE void Store(const Floats& v, uint8_t* dst) {
    Sink::Put(dst, _mm256_cvtps_ph(v.a, _MM_FROUND_TO_NEAREST_INT));
    Sink::Put(dst + 16, _mm256_cvtps_ph(v.b, _MM_FROUND_TO_NEAREST_INT));
    Sink::Put(dst + 32, _mm256_cvtps_ph(v.c, _MM_FROUND_TO_NEAREST_INT));
    Sink::Put(dst + 48, _mm256_cvtps_ph(v.d, _MM_FROUND_TO_NEAREST_INT));
  }
};

struct BF16 {
  static constexpr int kSize = 2;
  PRETRAINED_INLINE Floats Load(const uint8_t* src) {
    return WidenBfloat16({Get256(src), Get256(src + 32)});
  }
  template <typename Sink>
  PRETRAINED_INLINE void Store(const Floats& v, uint8_t* dst) {
    __m256i a = Narrow(v.a), b = Narrow(v.b), c = Narrow(v.c), d = Narrow(v.d);
    if (AnyNan(v)) [[unlikely]] {
      a = PutNans(v.a, a);
      b = PutNans(v.b, b);
      c = PutNans(v.c, c);
      d = PutNans(v.d, d);
    }
    Sink::Put(dst, PackHalves(a, b));
    Sink::Put(dst + 32, PackHalves(c, d));
  }
  PRETRAINED_INLINE __m256i Narrow(__m256 x) {
    const __m256i bits = _mm256_castps_si256(x);
    const __m256i odd =
        _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i biased = _mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff));
    return _mm256_srli_epi32(_mm256_add_epi32(biased, odd), 16);
  }
  PRETRAINED_INLINE __m256i PutNans(__m256 x, __m256i code) {
    const __m256i top = _mm256_srli_epi32(_mm256_castps_si256(x), 16);
    return _mm256_blendv_epi8(
        code, _mm256_or_si256(top, _mm256_set1_epi32(0x40)), IsNan(x));
  }
};

struct F32 {
  static constexpr int kSize = 4;
  PRETRAINED_INLINE Floats Load(const uint8_t* src) {
    return {_mm256_castsi256_ps(Get256(src)),
            _mm256_castsi256_ps(Get256(src + 32)),
            _mm256_castsi256_ps(Get256(src + 64)),
            _mm256_castsi256_ps(Get256(src + 96))};
  }
  template <typename Sink>
  PRETRAINED_INLINE void Store(const Floats& v, uint8_t* dst) {
    Sink::Put(dst, _mm256_castps_si256(v.a));
    Sink::Put(dst + 32, _mm256_castps_si256(v.b));
    Sink::Put(dst + 64, _mm256_castps_si256(v.c));
    Sink::Put(dst + 96, _mm256_castps_si256(v.d));
  }
};

struct F64 {
  static constexpr int kSize = 8;
  PRETRAINED_INLINE Floats Load(const uint8_t* src) {
    return {Load8(src), Load8(src + 64), Load8(src + 128), Load8(src + 192)};
  }
  template <typename Sink>
  PRETRAINED_INLINE void Store(const Floats& v, uint8_t* dst) {
    Store8<Sink>(v.a, dst);
    Store8<Sink>(v.b, dst + 64);
    Store8<Sink>(v.c, dst + 128);
    Store8<Sink>(v.d, dst + 192);
  }
  PRETRAINED_INLINE __m128 Load4(const uint8_t* src) {
    return _mm256_cvtpd_ps(_mm256_castsi256_pd(Get256(src)));
  }
  PRETRAINED_INLINE __m256 Load8(const uint8_t* src) {
    return _mm256_set_m128(Load4(src + 32), Load4(src));
  }
  template <typename Sink>
  PRETRAINED_INLINE void Store8(__m256 v, uint8_t* dst) {
    const __m256d low = _mm256_cvtps_pd(_mm256_castps256_ps128(v));
    const __m256d high = _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1));
    Sink::Put(dst, _mm256_castpd_si256(low));
    Sink::Put(dst + 32, _mm256_castpd_si256(high));
  }
};

// ---- Pairs of formats ----

// Converts one block.
template <typename From, typename To>
struct Pair {
  template <typename Sink>
  PRETRAINED_INLINE void Block(const uint8_t* src, uint8_t* dst) {
    To::template Store<Sink>(From::Load(src), dst);
  }
};

// From memory, four elements widen with one shuffle less.
template <>
struct Pair<F32, F64> {
  template <typename Sink>
  PRETRAINED_INLINE void Block(const uint8_t* src, uint8_t* dst) {
    Four<Sink>(src, dst);
    Four<Sink>(src + 16, dst + 32);
    Four<Sink>(src + 32, dst + 64);
    Four<Sink>(src + 48, dst + 96);
    Four<Sink>(src + 64, dst + 128);
    Four<Sink>(src + 80, dst + 160);
    Four<Sink>(src + 96, dst + 192);
    Four<Sink>(src + 112, dst + 224);
  }
  template <typename Sink>
  PRETRAINED_INLINE void Four(const uint8_t* src, uint8_t* dst) {
    const __m128 v = _mm_castsi128_ps(Get128(src));
    Sink::Put(dst, _mm256_castpd_si256(_mm256_cvtps_pd(v)));
  }
};

// In half registers throughout: the first step then leaves none to be split.
template <>
struct Pair<BF16, F64> {
  template <typename Sink>
  PRETRAINED_INLINE void Block(const uint8_t* src, uint8_t* dst) {
    Eight<Sink>(src, dst);
    Eight<Sink>(src + 16, dst + 64);
    Eight<Sink>(src + 32, dst + 128);
    Eight<Sink>(src + 48, dst + 192);
  }
  template <typename Sink>
  PRETRAINED_INLINE void Eight(const uint8_t* src, uint8_t* dst) {
    const __m128i zero = _mm_setzero_si128();
    const __m128i v = Get128(src);
    Sink::Put(dst, Widen(_mm_unpacklo_epi16(zero, v)));
    Sink::Put(dst + 32, Widen(_mm_unpackhi_epi16(zero, v)));
  }
  PRETRAINED_INLINE __m256i Widen(__m128i v) {
    return _mm256_castpd_si256(_mm256_cvtps_pd(_mm_castsi128_ps(v)));
  }
};

// Moved up without arithmetic, so a signalling NaN has to be made quiet.
template <>
struct Pair<BF16, F32> {
  template <typename Sink>
  PRETRAINED_INLINE void Block(const uint8_t* src, uint8_t* dst) {
    Floats v = BF16::Load(src);
    if (AnyNan(v)) [[unlikely]] {
      v = {Quiet(v.a), Quiet(v.b), Quiet(v.c), Quiet(v.d)};
    }
    F32::Store<Sink>(v, dst);
  }
  PRETRAINED_INLINE __m256 Quiet(__m256 x) {
    const __m256i bit = _mm256_and_si256(IsNan(x), _mm256_set1_epi32(0x400000));
    return _mm256_or_ps(x, _mm256_castsi256_ps(bit));
  }
};

template <>
struct Pair<E4M3FN, F16> {
  template <typename Sink>
  PRETRAINED_INLINE void Block(const uint8_t* src, uint8_t* dst) {
    const Halves v = E4M3ToFloat16(Get256(src));
    Sink::Put(dst, v.lo);
    Sink::Put(dst + 32, v.hi);
  }
};

template <>
struct Pair<E4M3FN, BF16> {
  template <typename Sink>
  PRETRAINED_INLINE void Block(const uint8_t* src, uint8_t* dst) {
    const Halves v = E4M3ToBfloat16(Get256(src));
    Sink::Put(dst, v.lo);
    Sink::Put(dst + 32, v.hi);
  }
};

template <>
struct Pair<E5M2, F16> {
  template <typename Sink>
  PRETRAINED_INLINE void Block(const uint8_t* src, uint8_t* dst) {
    const __m256i b = Get256(src);
    const __m256i c = _mm256_and_si256(b, _mm256_set1_epi8(0x7f));
    const __m256i is_nan = _mm256_cmpgt_epi8(c, _mm256_set1_epi8(0x7c));
    const __m256i quiet = _mm256_and_si256(is_nan, _mm256_set1_epi8(2));
    const Halves v = E5M2ToFloat16(_mm256_or_si256(b, quiet));
    Sink::Put(dst, v.lo);
    Sink::Put(dst + 32, v.hi);
  }
};

// Two mantissa bits fit a bfloat16 as they are: nothing to round, and the NaNs
// are quiet since they were float32.
template <>
struct Pair<E5M2, BF16> {
  template <typename Sink>
  PRETRAINED_INLINE void Block(const uint8_t* src, uint8_t* dst) {
    const Floats v = E5M2::Load(src);
    Sink::Put(dst, PackHalves(Top(v.a), Top(v.b)));
    Sink::Put(dst + 32, PackHalves(Top(v.c), Top(v.d)));
  }
  PRETRAINED_INLINE __m256i Top(__m256 x) {
    return _mm256_srli_epi32(_mm256_castps_si256(x), 16);
  }
};

// The upper byte of a float16, rounded.
template <>
struct Pair<F16, E5M2> {
  template <typename Sink>
  PRETRAINED_INLINE void Block(const uint8_t* src, uint8_t* dst) {
    Sink::Put(dst, SwapMiddle(_mm256_packus_epi16(Narrow(Get256(src)),
                                                  Narrow(Get256(src + 32)))));
  }
  PRETRAINED_INLINE __m256i Narrow(__m256i x) {
    const __m256i magnitude = _mm256_and_si256(x, _mm256_set1_epi16(0x7fff));
    const __m256i is_nan =
        _mm256_cmpgt_epi16(magnitude, _mm256_set1_epi16(0x7c00));
    const __m256i odd =
        _mm256_and_si256(_mm256_srli_epi16(x, 8), _mm256_set1_epi16(1));
    const __m256i rounding = _mm256_add_epi16(odd, _mm256_set1_epi16(0x7f));
    const __m256i rounded =
        _mm256_add_epi16(x, _mm256_andnot_si256(is_nan, rounding));
    const __m256i quiet = _mm256_and_si256(is_nan, _mm256_set1_epi16(2));
    return _mm256_or_si256(_mm256_srli_epi16(rounded, 8), quiet);
  }
};
}  // namespace
}  // namespace pretrained::dtypes_internal

#undef PRETRAINED_INLINE

#endif  // PRETRAINED_DTYPES_CONVERT_AVX2_BLOCKS_H_
