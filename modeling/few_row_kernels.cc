#include "modeling/few_row_kernels.h"

#include <cstdint>
#include <cstring>

#if defined(__x86_64__)

#include <immintrin.h>

#include <initializer_list>

// Functions, not the file, are compiled for AVX2: nothing else may run where it
// is missing.
#define PRETRAINED_AVX2 __attribute__((target("avx2,fma,f16c")))

namespace pretrained {
namespace {

constexpr int64_t kLanes = 8;

// Numbers of a matrix: eight, or one, as float32.
struct Float32 {
  using Number = float;
  static PRETRAINED_AVX2 inline __m256 Load(const float* p) {
    return _mm256_loadu_ps(p);
  }
  static float One(float number) { return number; }
  static PRETRAINED_AVX2 inline void Store(__m256 lanes, float* p) {
    _mm256_storeu_ps(p, lanes);
  }
};

struct BFloat16 {
  using Number = uint16_t;
  static PRETRAINED_AVX2 inline __m256 Load(const uint16_t* p) {
    const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return _mm256_castsi256_ps(
        _mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
  }
  static float One(uint16_t number) {
    const uint32_t bits = static_cast<uint32_t>(number) << 16;
    float result;
    std::memcpy(&result, &bits, sizeof(result));
    return result;
  }
  // To the nearest, ties to even; not a number stays that.
  static PRETRAINED_AVX2 inline void Store(__m256 lanes, uint16_t* p) {
    const __m256i bits = _mm256_castps_si256(lanes);
    const __m256i is_odd =
        _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_add_epi32(
        bits, _mm256_add_epi32(is_odd, _mm256_set1_epi32(0x7fff)));
    const __m256i is_nan =
        _mm256_castps_si256(_mm256_cmp_ps(lanes, lanes, _CMP_UNORD_Q));
    const __m256i kept =
        _mm256_blendv_epi8(rounded, _mm256_set1_epi32(0x7fc00000), is_nan);
    const __m256i high = _mm256_srli_epi32(kept, 16);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p),
                     _mm_packus_epi32(_mm256_castsi256_si128(high),
                                      _mm256_extracti128_si256(high, 1)));
  }
};

struct Float16 {
  using Number = uint16_t;
  static PRETRAINED_AVX2 inline __m256 Load(const uint16_t* p) {
    return _mm256_cvtph_ps(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static PRETRAINED_AVX2 float One(uint16_t number) {
    return _cvtsh_ss(number);
  }
  static PRETRAINED_AVX2 inline void Store(__m256 lanes, uint16_t* p) {
    _mm_storeu_si128(
        reinterpret_cast<__m128i*>(p),
        _mm256_cvtps_ph(lanes, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
};

// Calls step(j, count) for each vector of n numbers; count is kLanes but for
// the last, which may be shorter.
template <typename Step>
PRETRAINED_AVX2 inline void ForEachVector(int64_t n, Step step) {
  for (int64_t j = 0; j < n; j += kLanes) {
    step(j, n - j < kLanes ? n - j : kLanes);
  }
}

// A vector of which the last lanes may be missing, as 0.
template <typename Dtype>
PRETRAINED_AVX2 inline __m256 LoadSome(const typename Dtype::Number* p,
                                       int64_t count) {
  if (count == kLanes) return Dtype::Load(p);
  typename Dtype::Number numbers[kLanes] = {};
  std::memcpy(numbers, p, count * sizeof(*p));
  return Dtype::Load(numbers);
}

template <typename Dtype>
PRETRAINED_AVX2 inline void StoreSome(__m256 lanes, int64_t count,
                                      typename Dtype::Number* p) {
  if (count == kLanes) return Dtype::Store(lanes, p);
  typename Dtype::Number numbers[kLanes];
  Dtype::Store(lanes, numbers);
  std::memcpy(p, numbers, count * sizeof(*p));
}

PRETRAINED_AVX2 inline float Sum(__m256 lanes) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(lanes),
                                 _mm256_extractf128_ps(lanes, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

// Adds the products of one vector of each row of x and each row of w.
template <typename Dtype, int kRows, int kColumns>
PRETRAINED_AVX2 inline __attribute__((always_inline)) void AddProducts(
    const float* x, int64_t k, const typename Dtype::Number* w,
    __m256 (&sums)[kRows][kColumns]) {
  __m256 numbers[kColumns];
#pragma GCC unroll 8
  for (int j = 0; j < kColumns; ++j) numbers[j] = Dtype::Load(w + j * k);
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
    const __m256 row = _mm256_loadu_ps(x + i * k);
#pragma GCC unroll 8
    for (int j = 0; j < kColumns; ++j) {
      sums[i][j] = _mm256_fmadd_ps(row, numbers[j], sums[i][j]);
    }
  }
}

// Several columns at once, so that x is read less often and no addition waits
// for the one before. The rows of w that come next are fetched meanwhile: the
// CPU foresees nothing beyond a page, which a row may be.
template <typename Dtype, int kRows, int kColumns>
PRETRAINED_AVX2 inline void DotsOfColumns(const float* x, int64_t k,
                                          const typename Dtype::Number* w,
                                          int64_t n, float* y) {
  constexpr int64_t kLine = 64 / sizeof(typename Dtype::Number);
  __m256 sums[kRows][kColumns];
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < kColumns; ++j) sums[i][j] = _mm256_setzero_ps();
  }
  int64_t c = 0;
  for (; c + kLine <= k; c += kLine) {
#pragma GCC unroll 8
    for (int j = 0; j < kColumns; ++j) {
      _mm_prefetch(reinterpret_cast<const char*>(w + (kColumns + j) * k + c),
                   _MM_HINT_T1);
    }
#pragma GCC unroll 4
    for (int64_t v = 0; v < kLine; v += kLanes) {
      AddProducts<Dtype, kRows, kColumns>(x + c + v, k, w + c + v, sums);
    }
  }
  for (; c + kLanes <= k; c += kLanes) {
    AddProducts<Dtype, kRows, kColumns>(x + c, k, w + c, sums);
  }
  for (int i = 0; i < kRows; ++i) {
    for (int j = 0; j < kColumns; ++j) {
      float total = Sum(sums[i][j]);
      for (int64_t rest = c; rest < k; ++rest) {
        total += x[i * k + rest] * Dtype::One(w[j * k + rest]);
      }
      y[i * n + j] = total;
    }
  }
}

// One row: w is read from front to back, as fast as memory gives it. What lies
// so many bytes ahead is fetched meanwhile, over the ends of rows and pages.
template <typename Dtype>
PRETRAINED_AVX2 inline float DotOfColumn(const float* x, int64_t k,
                                         const typename Dtype::Number* w) {
  constexpr int64_t kAheadBytes = 6144;
  constexpr int64_t kLineBytes = 64;
  constexpr int kSums = 4;  // No addition waits for the one before.
  constexpr int64_t kStep = kSums * kLanes;
  __m256 sums[kSums];
#pragma GCC unroll 4
  for (int i = 0; i < kSums; ++i) sums[i] = _mm256_setzero_ps();
  int64_t c = 0;
  for (; c + kStep <= k; c += kStep) {
    const char* const ahead =
        reinterpret_cast<const char*>(w + c) + kAheadBytes;
#pragma GCC unroll 2
    for (int64_t i = 0; i < kStep * int64_t{sizeof(*w)}; i += kLineBytes) {
      _mm_prefetch(ahead + i, _MM_HINT_T0);
    }
#pragma GCC unroll 4
    for (int i = 0; i < kSums; ++i) {
      const int64_t at = c + i * kLanes;
      sums[i] = _mm256_fmadd_ps(_mm256_loadu_ps(x + at), Dtype::Load(w + at),
                                sums[i]);
    }
  }
  for (; c + kLanes <= k; c += kLanes) {
    sums[0] =
        _mm256_fmadd_ps(_mm256_loadu_ps(x + c), Dtype::Load(w + c), sums[0]);
  }
  float total = Sum(_mm256_add_ps(_mm256_add_ps(sums[0], sums[1]),
                                  _mm256_add_ps(sums[2], sums[3])));
  for (; c < k; ++c) total += x[c] * Dtype::One(w[c]);
  return total;
}

template <typename Dtype, int kRows>
PRETRAINED_AVX2 void Dots(const float* x, int64_t k,
                          const typename Dtype::Number* w, int64_t n,
                          int64_t begin, int64_t end, float* y) {
  if constexpr (kRows == 1) {
    for (int64_t j = begin; j < end; ++j) {
      y[j] = DotOfColumn<Dtype>(x, k, w + j * k);
    }
  } else {
    constexpr int kColumns = kRows <= 3 ? 4 : kRows <= 4 ? 2 : 1;
    int64_t j = begin;
    for (; j + kColumns <= end; j += kColumns) {
      DotsOfColumns<Dtype, kRows, kColumns>(x, k, w + j * k, n, y + j);
    }
    for (; j < end; ++j) {
      DotsOfColumns<Dtype, kRows, 1>(x, k, w + j * k, n, y + j);
    }
  }
}

// Columns j to j + 8 kVectors of the sum over rows c to c + kAtOnce of w, added
// to y, or put there. So many rows at once, that y, which stays in the first
// cache, is read and written seldom.
template <typename Dtype, int kAtOnce, int kVectors>
PRETRAINED_AVX2 inline void AddRowsAt(const float* x, int64_t m, int64_t k,
                                      const typename Dtype::Number* rows,
                                      int64_t n, bool is_first, float* y) {
  for (int v = 0; v < kVectors; ++v) {
    __m256 numbers[kAtOnce];
#pragma GCC unroll 8
    for (int r = 0; r < kAtOnce; ++r) {
      numbers[r] = Dtype::Load(rows + r * n + v * kLanes);
    }
    for (int64_t i = 0; i < m; ++i) {
      float* const at = y + i * n + v * kLanes;
      __m256 sum = is_first ? _mm256_setzero_ps() : _mm256_loadu_ps(at);
#pragma GCC unroll 8
      for (int r = 0; r < kAtOnce; ++r) {
        sum = _mm256_fmadd_ps(_mm256_set1_ps(x[i * k + r]), numbers[r], sum);
      }
      _mm256_storeu_ps(at, sum);
    }
  }
}

template <typename Dtype, int kAtOnce>
PRETRAINED_AVX2 inline void AddRowsBlock(const float* x, int64_t m, int64_t k,
                                         const typename Dtype::Number* rows,
                                         int64_t n, bool is_first, float* y) {
  // One cache line at a time.
  constexpr int64_t kLine = 64 / sizeof(typename Dtype::Number);
  constexpr int kVectors = kLine / kLanes;
  int64_t j = 0;
  for (; j + kLine <= n; j += kLine) {
    // A row of half numbers is too short for the CPU to foresee what follows.
    if (kVectors > 2) {
#pragma GCC unroll 8
      for (int r = 0; r < kAtOnce; ++r) {
        _mm_prefetch(
            reinterpret_cast<const char*>(rows + (kAtOnce + r) * n + j),
            _MM_HINT_T0);
      }
    }
    AddRowsAt<Dtype, kAtOnce, kVectors>(x, m, k, rows + j, n, is_first, y + j);
  }
  for (; j + kLanes <= n; j += kLanes) {
    AddRowsAt<Dtype, kAtOnce, 1>(x, m, k, rows + j, n, is_first, y + j);
  }
  for (; j < n; ++j) {
    for (int64_t i = 0; i < m; ++i) {
      float sum = is_first ? 0.0f : y[i * n + j];
      for (int r = 0; r < kAtOnce; ++r) {
        sum += x[i * k + r] * Dtype::One(rows[r * n + j]);
      }
      y[i * n + j] = sum;
    }
  }
}

template <typename Dtype>
PRETRAINED_AVX2 void AddRows(const float* x, int64_t m, int64_t k,
                             const typename Dtype::Number* w, int64_t n,
                             int64_t begin, int64_t end, float* y) {
  constexpr int kAtOnce = 8;
  int64_t c = begin;
  for (; c + kAtOnce <= end; c += kAtOnce) {
    AddRowsBlock<Dtype, kAtOnce>(x + c, m, k, w + c * n, n, c == begin, y);
  }
  for (; c < end; ++c) {
    AddRowsBlock<Dtype, 1>(x + c, m, k, w + c * n, n, c == begin, y);
  }
}

template <typename Dtype>
PRETRAINED_AVX2 void RoundOf(const float* parts, int64_t count, int64_t stride,
                             const void* bias, int64_t n, void* y) {
  using Number = typename Dtype::Number;
  ForEachVector(n, [=](int64_t j, int64_t lanes) PRETRAINED_AVX2 {
    __m256 sum = LoadSome<Float32>(parts + j, lanes);
    for (int64_t part = 1; part < count; ++part) {
      sum = _mm256_add_ps(sum,
                          LoadSome<Float32>(parts + part * stride + j, lanes));
    }
    if (bias != nullptr) {
      sum = _mm256_add_ps(
          sum, LoadSome<Dtype>(static_cast<const Number*>(bias) + j, lanes));
    }
    StoreSome<Dtype>(sum, lanes, static_cast<Number*>(y) + j);
  });
}

template <typename Dtype>
PRETRAINED_AVX2 void WidenOf(const void* x, int64_t n, float* y) {
  ForEachVector(n, [=](int64_t j, int64_t lanes) PRETRAINED_AVX2 {
    StoreSome<Float32>(
        LoadSome<Dtype>(static_cast<const typename Dtype::Number*>(x) + j,
                        lanes),
        lanes, y + j);
  });
}

// e^x: 2^n e^r, with r at most ln 2 / 2 off 0, and e^r by its Taylor series.
// Below float32's range 0, above it infinity; not a number stays that.
PRETRAINED_AVX2 inline __m256 Exp(__m256 x) {
  const __m256 kLowest = _mm256_set1_ps(-87.3f);
  const __m256 kHighest = _mm256_set1_ps(88.7f);
  // The second operand is the result where one of them is not a number.
  const __m256 inside = _mm256_min_ps(kHighest, _mm256_max_ps(kLowest, x));
  const __m256 power = _mm256_round_ps(
      _mm256_mul_ps(inside, _mm256_set1_ps(1.44269504088896341f)),
      _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  // ln 2 in two parts, the first of few bits, so that its product is exact.
  __m256 rest = _mm256_fnmadd_ps(power, _mm256_set1_ps(0.693359375f), inside);
  rest = _mm256_fnmadd_ps(power, _mm256_set1_ps(-2.12194440e-4f), rest);
  __m256 series = _mm256_set1_ps(1.0f / 5040);
  for (const float next :
       {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f}) {
    series = _mm256_fmadd_ps(series, rest, _mm256_set1_ps(next));
  }
  // 2^128 is no float32, hence in two steps.
  const __m256i whole = _mm256_cvtps_epi32(power);
  const __m256i half = _mm256_srai_epi32(whole, 1);
  const __m256i bias = _mm256_set1_epi32(127);
  const auto two_to = [bias](__m256i exponent) PRETRAINED_AVX2 {
    return _mm256_castsi256_ps(
        _mm256_slli_epi32(_mm256_add_epi32(exponent, bias), 23));
  };
  const __m256 result = _mm256_mul_ps(_mm256_mul_ps(series, two_to(half)),
                                      two_to(_mm256_sub_epi32(whole, half)));
  const __m256 is_low = _mm256_cmp_ps(x, kLowest, _CMP_LT_OQ);
  const __m256 is_high = _mm256_cmp_ps(x, kHighest, _CMP_GT_OQ);
  return _mm256_blendv_ps(_mm256_andnot_ps(is_low, result),
                          _mm256_set1_ps(__builtin_inff()), is_high);
}

template <typename Dtype>
PRETRAINED_AVX2 void GeluTanhOf(const void* x, int64_t n, void* y) {
  using Number = typename Dtype::Number;
  ForEachVector(n, [=](int64_t j, int64_t lanes) PRETRAINED_AVX2 {
    const __m256 in = LoadSome<Dtype>(static_cast<const Number*>(x) + j, lanes);
    const __m256 square = _mm256_mul_ps(in, in);
    // 1 + tanh(u) = 2 / (1 + e^(-2u)).
    const __m256 twice = _mm256_mul_ps(
        _mm256_mul_ps(in, _mm256_set1_ps(-2 * 0.797884560802865f)),
        _mm256_fmadd_ps(square, _mm256_set1_ps(0.044715f),
                        _mm256_set1_ps(1.0f)));
    const __m256 out =
        _mm256_div_ps(in, _mm256_add_ps(_mm256_set1_ps(1.0f), Exp(twice)));
    StoreSome<Dtype>(out, lanes, static_cast<Number*>(y) + j);
  });
}

template <typename Dtype>
void DotsOf(const float* x, int64_t m, int64_t k, const void* w, int64_t n,
            int64_t begin, int64_t end, float* y) {
  using Kernel = void (*)(const float*, int64_t, const typename Dtype::Number*,
                          int64_t, int64_t, int64_t, float*);
  static constexpr Kernel kernels[kFewRows] = {
      Dots<Dtype, 1>, Dots<Dtype, 2>, Dots<Dtype, 3>, Dots<Dtype, 4>,
      Dots<Dtype, 5>, Dots<Dtype, 6>, Dots<Dtype, 7>, Dots<Dtype, 8>};
  kernels[m - 1](x, k, static_cast<const typename Dtype::Number*>(w), n, begin,
                 end, y);
}

template <typename Dtype>
void AddRowsOf(const float* x, int64_t m, int64_t k, const void* w, int64_t n,
               int64_t begin, int64_t end, float* y) {
  AddRows<Dtype>(x, m, k, static_cast<const typename Dtype::Number*>(w), n,
                 begin, end, y);
}

}  // namespace

bool HasFewRowKernels() {
  static const bool has = __builtin_cpu_supports("avx2") &&
                          __builtin_cpu_supports("fma") &&
                          __builtin_cpu_supports("f16c");
  return has;
}

void TimesTransposed(const float* x, int64_t m, int64_t k, const void* w,
                     MatrixDtype dtype, int64_t n, int64_t begin, int64_t end,
                     float* y) {
  switch (dtype) {
    case MatrixDtype::kFloat32:
      return DotsOf<Float32>(x, m, k, w, n, begin, end, y);
    case MatrixDtype::kBFloat16:
      return DotsOf<BFloat16>(x, m, k, w, n, begin, end, y);
    case MatrixDtype::kFloat16:
      return DotsOf<Float16>(x, m, k, w, n, begin, end, y);
  }
}

void Times(const float* x, int64_t m, int64_t k, const void* w,
           MatrixDtype dtype, int64_t n, int64_t begin, int64_t end, float* y) {
  switch (dtype) {
    case MatrixDtype::kFloat32:
      return AddRowsOf<Float32>(x, m, k, w, n, begin, end, y);
    case MatrixDtype::kBFloat16:
      return AddRowsOf<BFloat16>(x, m, k, w, n, begin, end, y);
    case MatrixDtype::kFloat16:
      return AddRowsOf<Float16>(x, m, k, w, n, begin, end, y);
  }
}

void SumRounded(const float* parts, int64_t count, int64_t stride,
                const void* bias, MatrixDtype dtype, int64_t n, void* y) {
  switch (dtype) {
    case MatrixDtype::kFloat32:
      return RoundOf<Float32>(parts, count, stride, bias, n, y);
    case MatrixDtype::kBFloat16:
      return RoundOf<BFloat16>(parts, count, stride, bias, n, y);
    case MatrixDtype::kFloat16:
      return RoundOf<Float16>(parts, count, stride, bias, n, y);
  }
}

void Widen(const void* x, MatrixDtype dtype, int64_t n, float* y) {
  switch (dtype) {
    case MatrixDtype::kFloat32:
      return WidenOf<Float32>(x, n, y);
    case MatrixDtype::kBFloat16:
      return WidenOf<BFloat16>(x, n, y);
    case MatrixDtype::kFloat16:
      return WidenOf<Float16>(x, n, y);
  }
}

PRETRAINED_AVX2 void Softmax(int64_t n, float* x) {
  const __m256 none = _mm256_set1_ps(-__builtin_inff());
  __m256 largest = none;
  int64_t j = 0;
  for (; j + kLanes <= n; j += kLanes) {
    largest = _mm256_max_ps(largest, _mm256_loadu_ps(x + j));
  }
  float highest = -__builtin_inff();
  float lanes[kLanes];
  _mm256_storeu_ps(lanes, largest);
  for (const float lane : lanes) highest = lane > highest ? lane : highest;
  for (int64_t rest = j; rest < n; ++rest) {
    highest = x[rest] > highest ? x[rest] : highest;
  }
  // Where nothing is seen, nothing comes of it.
  const __m256 shift =
      _mm256_set1_ps(highest == -__builtin_inff() ? 0.0f : highest);
  __m256 total = _mm256_setzero_ps();
  for (j = 0; j < n; j += kLanes) {
    const int64_t count = n - j < kLanes ? n - j : kLanes;
    float* const at = x + j;
    StoreSome<Float32>(Exp(_mm256_sub_ps(LoadSome<Float32>(at, count), shift)),
                       count, at);
    total = _mm256_add_ps(total, LoadSome<Float32>(at, count));
  }
  const float sum = Sum(total);
  const __m256 scale = _mm256_set1_ps(sum == 0.0f ? 0.0f : 1.0f / sum);
  for (j = 0; j < n; j += kLanes) {
    const int64_t count = n - j < kLanes ? n - j : kLanes;
    StoreSome<Float32>(_mm256_mul_ps(LoadSome<Float32>(x + j, count), scale),
                       count, x + j);
  }
}

void GeluTanh(const void* x, MatrixDtype dtype, int64_t n, void* y) {
  switch (dtype) {
    case MatrixDtype::kFloat32:
      return GeluTanhOf<Float32>(x, n, y);
    case MatrixDtype::kBFloat16:
      return GeluTanhOf<BFloat16>(x, n, y);
    case MatrixDtype::kFloat16:
      return GeluTanhOf<Float16>(x, n, y);
  }
}

}  // namespace pretrained

#else

namespace pretrained {

bool HasFewRowKernels() { return false; }

void TimesTransposed(const float*, int64_t, int64_t, const void*, MatrixDtype,
                     int64_t, int64_t, int64_t, float*) {}
void Times(const float*, int64_t, int64_t, const void*, MatrixDtype, int64_t,
           int64_t, int64_t, float*) {}
void SumRounded(const float*, int64_t, int64_t, const void*, MatrixDtype,
                int64_t, void*) {}
void Widen(const void*, MatrixDtype, int64_t, float*) {}
void Softmax(int64_t, float*) {}
void GeluTanh(const void*, MatrixDtype, int64_t, void*) {}

}  // namespace pretrained

#endif
