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

// y[i, j] += sum of x[i, c] w[c, j] over c from `begin` to `end` - 1.
//   x  [m, k], m <= kFewRows
//   w  [k, n] of `dtype`
//   y  [m, n]
void AddTimes(const float* x, int64_t m, int64_t k, const void* w,
              MatrixDtype dtype, int64_t n, int64_t begin, int64_t end,
              float* y);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_FEW_ROW_KERNELS_H_
