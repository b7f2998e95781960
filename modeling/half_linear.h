#ifndef PRETRAINED_MODELING_HALF_LINEAR_H_
#define PRETRAINED_MODELING_HALF_LINEAR_H_

#include <optional>

#include "ATen/core/Tensor.h"
#include "modeling/few_row_linear.h"

namespace pretrained {

// Whether this CPU multiplies matrices of `type` itself (or LibTorch has
// kernels for it that are about as fast as float32's).
bool HasHalfMatrixKernels(at::ScalarType type);

// A linear layer's result for many rows x [.., in] of a half dtype on a CPU
// without kernels for those: [.., out], through float32; nullopt where LibTorch
// is to compute it: other dtypes and devices, gradients, other shapes.
//   weight  of x's dtype, as `layout` says
//   bias    [out] of x's dtype, or undefined
// Sums are in float32 and rounded once.
// Cost: that of float32, and a block of the weight, up to 4 MiB, as float32.
std::optional<at::Tensor> LinearOfHalf(const at::Tensor& x,
                                       const at::Tensor& weight,
                                       const at::Tensor& bias,
                                       WeightLayout layout);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_HALF_LINEAR_H_
