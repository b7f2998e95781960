#ifndef PRETRAINED_DTYPES_CONVERT_KERNELS_H_
#define PRETRAINED_DTYPES_CONVERT_KERNELS_H_

// What Convert() is made of: one kernel for each pair of floating-point
// formats and each kind of CPU. Private to this folder; tests and benchmarks
// enter here to force a kind.
//
// This header stays free of Abseil and of library code with inline functions:
// convert_avx2.cc includes it and is compiled for a newer CPU than the rest,
// and an inline function emitted there could become the whole program's copy.

#include <cstdint>

namespace pretrained::dtypes_internal {

// In the order of Dtype, so that one is the other less a constant.
enum class FloatFormat : int {
  kFloat8E4M3FN,
  kFloat8E5M2,
  kFloat16,
  kBfloat16,
  kFloat32,
  kFloat64,
};
inline constexpr int kNumFloatFormats = 6;

// The instructions that a kernel uses.
enum class CpuPath : int {
  kScalar,    // Any CPU; integer arithmetic alone.
  kAvx2F16c,  // x86-64 with AVX2 and F16C, enabled by the operating system.
};

// Whether this machine can run `path`. Cost: a cached answer.
bool CpuSupports(CpuPath path);

// Whether this build has that path: the compiler was told of those
// instructions.
bool BuiltWithAvx2F16c();

// The fastest path that this machine can run.
CpuPath BestCpuPath();

// Converts `count` elements; any alignment; the ranges must not overlap.
// Equal formats are not among the pairs: that is a copy.
//
// Every path gives the same bits, NaNs included, for every input. The calling
// thread's rounding mode, flush-to-zero, denormals-are-zero and exception flags
// change nothing and are left as they were.
void ConvertScalar(FloatFormat from, const void* src, FloatFormat to, void* dst,
                   int64_t count);
void ConvertAvx2F16c(FloatFormat from, const void* src, FloatFormat to,
                     void* dst, int64_t count);

}  // namespace pretrained::dtypes_internal

#endif  // PRETRAINED_DTYPES_CONVERT_KERNELS_H_
