#include "modeling/few_row_kernels.h"

#include <cstdint>
#include <cstring>

#if defined(__x86_64__)

#include <immintrin.h>

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
};

PRETRAINED_AVX2 inline float Sum(__m256 lanes) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(lanes),
                                 _mm256_extractf128_ps(lanes, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

// Several columns at once, so that x is read less often and no addition waits
// for the one before.
template <typename Dtype, int kRows, int kColumns>
PRETRAINED_AVX2 inline void DotsOfColumns(const float* x, int64_t k,
                                          const typename Dtype::Number* w,
                                          int64_t n, float* y) {
  __m256 sums[kRows][kColumns];
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < kColumns; ++j) sums[i][j] = _mm256_setzero_ps();
  }
  int64_t c = 0;
  for (; c + kLanes <= k; c += kLanes) {
    __m256 numbers[kColumns];
#pragma GCC unroll 8
    for (int j = 0; j < kColumns; ++j) numbers[j] = Dtype::Load(w + j * k + c);
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
      const __m256 row = _mm256_loadu_ps(x + i * k + c);
#pragma GCC unroll 8
      for (int j = 0; j < kColumns; ++j) {
        sums[i][j] = _mm256_fmadd_ps(row, numbers[j], sums[i][j]);
      }
    }
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

template <typename Dtype, int kRows>
PRETRAINED_AVX2 void Dots(const float* x, int64_t k,
                          const typename Dtype::Number* w, int64_t n,
                          int64_t begin, int64_t end, float* y) {
  constexpr int kColumns = kRows <= 3 ? 4 : kRows <= 4 ? 2 : 1;
  int64_t j = begin;
  for (; j + kColumns <= end; j += kColumns) {
    DotsOfColumns<Dtype, kRows, kColumns>(x, k, w + j * k, n, y + j);
  }
  for (; j < end; ++j) {
    DotsOfColumns<Dtype, kRows, 1>(x, k, w + j * k, n, y + j);
  }
}

// Four rows of w at once, so that y is read and written a fourth as often.
template <typename Dtype>
PRETRAINED_AVX2 void AddRows(const float* x, int64_t m, int64_t k,
                             const typename Dtype::Number* w, int64_t n,
                             int64_t begin, int64_t end, float* y) {
  constexpr int64_t kAtOnce = 4;
  int64_t c = begin;
  for (; c + kAtOnce <= end; c += kAtOnce) {
    const typename Dtype::Number* const rows = w + c * n;
    int64_t j = 0;
    for (; j + kLanes <= n; j += kLanes) {
      __m256 numbers[kAtOnce];
      for (int64_t r = 0; r < kAtOnce; ++r) {
        numbers[r] = Dtype::Load(rows + r * n + j);
      }
      for (int64_t i = 0; i < m; ++i) {
        __m256 sum = _mm256_loadu_ps(y + i * n + j);
        for (int64_t r = 0; r < kAtOnce; ++r) {
          sum = _mm256_fmadd_ps(_mm256_set1_ps(x[i * k + c + r]), numbers[r],
                                sum);
        }
        _mm256_storeu_ps(y + i * n + j, sum);
      }
    }
    for (; j < n; ++j) {
      for (int64_t i = 0; i < m; ++i) {
        for (int64_t r = 0; r < kAtOnce; ++r) {
          y[i * n + j] += x[i * k + c + r] * Dtype::One(rows[r * n + j]);
        }
      }
    }
  }
  for (; c < end; ++c) {
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        y[i * n + j] += x[i * k + c] * Dtype::One(w[c * n + j]);
      }
    }
  }
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

void AddTimes(const float* x, int64_t m, int64_t k, const void* w,
              MatrixDtype dtype, int64_t n, int64_t begin, int64_t end,
              float* y) {
  switch (dtype) {
    case MatrixDtype::kFloat32:
      return AddRowsOf<Float32>(x, m, k, w, n, begin, end, y);
    case MatrixDtype::kBFloat16:
      return AddRowsOf<BFloat16>(x, m, k, w, n, begin, end, y);
    case MatrixDtype::kFloat16:
      return AddRowsOf<Float16>(x, m, k, w, n, begin, end, y);
  }
}

}  // namespace pretrained

#else

namespace pretrained {

bool HasFewRowKernels() { return false; }

void TimesTransposed(const float*, int64_t, int64_t, const void*, MatrixDtype,
                     int64_t, int64_t, int64_t, float*) {}
void AddTimes(const float*, int64_t, int64_t, const void*, MatrixDtype, int64_t,
              int64_t, int64_t, float*) {}

}  // namespace pretrained

#endif
