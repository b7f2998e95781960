#ifndef PRETRAINED_MODELING_KERNEL_DTYPE_H_
#define PRETRAINED_MODELING_KERNEL_DTYPE_H_

#include <optional>

#include "c10/core/ScalarType.h"
#include "modeling/few_row_kernels.h"

namespace pretrained {

// What few_row_kernels.h calls that dtype; nullopt where it has no kernels for
// it, or for this CPU.
inline std::optional<MatrixDtype> KernelDtype(at::ScalarType type) {
  if (!HasFewRowKernels()) return std::nullopt;
  switch (type) {
    case at::kFloat:
      return MatrixDtype::kFloat32;
    case at::kBFloat16:
      return MatrixDtype::kBFloat16;
    case at::kHalf:
      return MatrixDtype::kFloat16;
    default:
      return std::nullopt;
  }
}

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_KERNEL_DTYPE_H_
