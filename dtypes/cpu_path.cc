#include "dtypes/convert_kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace pretrained::dtypes_internal {
namespace {

bool HasAvx2F16c() {
#if defined(__x86_64__)
  // For AVX2 the compiler's run-time also asks XGETBV whether the operating
  // system saves the registers, which are those of F16C too. Clang 14 knows no
  // "f16c" here.
  __builtin_cpu_init();
  unsigned eax, ebx, ecx = 0, edx;
  return __builtin_cpu_supports("avx2") &&
         __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
#else
  return false;
#endif
}

}  // namespace

bool CpuSupports(CpuPath path) {
  static const bool has_avx2_f16c = BuiltWithAvx2F16c() && HasAvx2F16c();
  return path == CpuPath::kScalar || has_avx2_f16c;
}

CpuPath BestCpuPath() {
  return CpuSupports(CpuPath::kAvx2F16c) ? CpuPath::kAvx2F16c
                                         : CpuPath::kScalar;
}

}  // namespace pretrained::dtypes_internal
