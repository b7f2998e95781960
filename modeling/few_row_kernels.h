#ifndef PRETRAINED_MODELING_FEW_ROW_KERNELS_H_
#define PRETRAINED_MODELING_FEW_ROW_KERNELS_H_

#include <cstdint>

namespace pretrained {

// Products of few rows with a matrix, which cost what reading the matrix costs:
// each number of it is read once, converted on the way, and added up in
// float32. For x86 CPUs with AVX2, FMA and F16C; without LibTorch.
//
// Rows m, inner size k, columns n; all matrices row-major.

inline constexpr int64_t kFewRows = 8;

enum class MatrixDtype { kFloat32, kBFloat16, kFloat16 };

// Whether this CPU can run what follows.
bool HasFewRowKernels();

// y[i, j] = sum over c of x[i, c] w[j, c], for columns `begin` to `end` - 1.
//   x  [m, k], m <= kFewRows
//   w  [n, k] of `dtype`
//   y  [m, n]
void TimesTransposed(const float* x, int64_t m, int64_t k, const void* w,
                     MatrixDtype dtype, int64_t n, int64_t begin, int64_t end,
                     float* y);

// y[i, j] = sum of x[i, c] w[c, j] over c from `begin` to `end` - 1.
//   x  [m, k], m <= kFewRows
//   w  [k, n] of `dtype`
//   y  [m, n]
void Times(const float* x, int64_t m, int64_t k, const void* w,
           MatrixDtype dtype, int64_t n, int64_t begin, int64_t end, float* y);

// y[j] = parts[j] + parts[stride + j] + .. + bias[j], of `count` parts, rounded
// once, for n numbers.
//   bias  [n] of `dtype`, or null
//   y     [n] of `dtype`
void SumRounded(const float* parts, int64_t count, int64_t stride,
                const void* bias, MatrixDtype dtype, int64_t n, void* y);

// The n numbers x of `dtype` as float32.
void Widen(const void* x, MatrixDtype dtype, int64_t n, float* y);

// The n scores x, in place, as probabilities; 0 where all are -infinity.
void Softmax(int64_t n, float* x);

// y = x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2, of n numbers of
// `dtype`, rounded once.
void GeluTanh(const void* x, MatrixDtype dtype, int64_t n, void* y);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_FEW_ROW_KERNELS_H_
