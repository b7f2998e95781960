#include "dtypes/convert_kernels.h"

#if defined(__AVX2__) && defined(__F16C__)

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "dtypes/convert_avx2_blocks.h"

// The AVX2 and F16C path. Compiled with -mavx2 -mf16c, so nothing here may
// leave this file but the two functions of convert_kernels.h: all else has
// internal linkage, and no header with inline functions of the standard
// library's or Abseil's is included.

namespace pretrained::dtypes_internal {
namespace {

// A range of this many bytes, input and output, bypasses the caches with its
// output: it would not stay in them, and storing around them saves reading each
// line before it is overwritten. From here on that pays even if the output is
// read again at once.
constexpr int64_t kStreamingBytes = int64_t{32} << 20;

// How far ahead of use such a range is fetched into the second-level cache:
// the hardware's own prefetching stops at every page.
constexpr int64_t kPrefetchBytes = 16384;
constexpr int64_t kLineBytes = 64;

// ---- Ranges ----

// Fewer elements than a block go through the same instructions, padded: a value
// means the same wherever it stands.
template <typename From, typename To>
void ConvertPart(const uint8_t* src, uint8_t* dst, int64_t count) {
  alignas(32) uint8_t in[kBlock * From::kSize] = {};
  alignas(32) uint8_t out[kBlock * To::kSize];
  std::memcpy(in, src, count * From::kSize);
  Pair<From, To>::template Block<Cached>(in, out);
  std::memcpy(dst, out, count * To::kSize);
}

template <typename From, typename To, typename Sink>
void ConvertBlocks(const uint8_t*& src, uint8_t*& dst, int64_t& count) {
  const uint8_t* in = src;
  uint8_t* out = dst;
  int64_t left = count;
  for (; left >= kBlock; left -= kBlock) {
    if constexpr (Sink::kStreams) {
      for (int64_t i = 0; i < kBlock * From::kSize; i += kLineBytes) {
        // An address past the end does no harm: it is a hint.
        const uintptr_t ahead =
            reinterpret_cast<uintptr_t>(in) + kPrefetchBytes + i;
        _mm_prefetch(reinterpret_cast<const char*>(ahead), _MM_HINT_T1);
      }
    }
    Pair<From, To>::template Block<Sink>(in, out);
    in += kBlock * From::kSize;
    out += kBlock * To::kSize;
  }
  src = in;
  dst = out;
  count = left;
}

template <typename From, typename To>
void ConvertRange(const void* from, void* to, int64_t count) {
  const uint8_t* src = static_cast<const uint8_t*>(from);
  uint8_t* dst = static_cast<uint8_t*>(to);
  const int64_t misaligned = -reinterpret_cast<intptr_t>(dst) & 31;
  if (count * (From::kSize + To::kSize) >= kStreamingBytes &&
      misaligned % To::kSize == 0) {
    const int64_t head = misaligned / To::kSize;
    ConvertPart<From, To>(src, dst, head);
    src += head * From::kSize;
    dst += head * To::kSize;
    count -= head;
    ConvertBlocks<From, To, Streaming>(src, dst, count);
    _mm_sfence();
  } else {
    ConvertBlocks<From, To, Cached>(src, dst, count);
  }
  if (count > 0) ConvertPart<From, To>(src, dst, count);
}

using Kernel = void (*)(const void* src, void* dst, int64_t count);

// [from][to], in the order of FloatFormat.
constexpr Kernel kKernels[kNumFloatFormats][kNumFloatFormats] = {
    {nullptr, ConvertRange<E4M3FN, E5M2>, ConvertRange<E4M3FN, F16>,
     ConvertRange<E4M3FN, BF16>, ConvertRange<E4M3FN, F32>,
     ConvertRange<E4M3FN, F64>},
    {ConvertRange<E5M2, E4M3FN>, nullptr, ConvertRange<E5M2, F16>,
     ConvertRange<E5M2, BF16>, ConvertRange<E5M2, F32>,
     ConvertRange<E5M2, F64>},
    {ConvertRange<F16, E4M3FN>, ConvertRange<F16, E5M2>, nullptr,
     ConvertRange<F16, BF16>, ConvertRange<F16, F32>, ConvertRange<F16, F64>},
    {ConvertRange<BF16, E4M3FN>, ConvertRange<BF16, E5M2>,
     ConvertRange<BF16, F16>, nullptr, ConvertRange<BF16, F32>,
     ConvertRange<BF16, F64>},
    {ConvertRange<F32, E4M3FN>, ConvertRange<F32, E5M2>, ConvertRange<F32, F16>,
     ConvertRange<F32, BF16>, nullptr, ConvertRange<F32, F64>},
    {ConvertRange<F64, E4M3FN>, ConvertRange<F64, E5M2>, ConvertRange<F64, F16>,
     ConvertRange<F64, BF16>, ConvertRange<F64, F32>, nullptr},
};

// Round to nearest, subnormals as they are, no exception trapped.
constexpr unsigned kDefaultMxcsr = 0x1f80;

}  // namespace

bool BuiltWithAvx2F16c() { return true; }

void ConvertAvx2F16c(FloatFormat from, const void* src, FloatFormat to,
                     void* dst, int64_t count) {
  const Kernel kernel = kKernels[static_cast<int>(from)][static_cast<int>(to)];
  const unsigned callers = _mm_getcsr();
  _mm_setcsr(kDefaultMxcsr);
  kernel(src, dst, count);
  _mm_setcsr(callers);
}

}  // namespace pretrained::dtypes_internal

#else

namespace pretrained::dtypes_internal {

bool BuiltWithAvx2F16c() { return false; }

// CpuSupports() never offers it; if called, the values are right all the same.
void ConvertAvx2F16c(FloatFormat from, const void* src, FloatFormat to,
                     void* dst, int64_t count) {
  ConvertScalar(from, src, to, dst, count);
}

}  // namespace pretrained::dtypes_internal

#endif  // __AVX2__ && __F16C__
