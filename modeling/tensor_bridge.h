#ifndef PRETRAINED_MODELING_TENSOR_BRIDGE_H_
#define PRETRAINED_MODELING_TENSOR_BRIDGE_H_

#include <cstdint>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "c10/core/ScalarType.h"
#include "checkpoint/checkpoint.h"
#include "dtypes/dtype.h"

namespace pretrained {

// The one place where stored tensors become LibTorch's.

// LibTorch's name for a dtype; each Dtype has one.
at::ScalarType ToScalarType(Dtype dtype);

// And back: kUnimplemented for types that no checkpoint holds (quantised ones).
absl::StatusOr<Dtype> ToDtype(at::ScalarType type);

// The bytes of `view` as a CPU tensor of `dtype` and `shape`, without a copy;
// the tensor keeps them alive. Copied instead when they are not aligned to the
// element size.
absl::StatusOr<at::Tensor> TensorFromView(const TensorView& view, Dtype dtype,
                                          absl::Span<const int64_t> shape);

struct ReadOptions {
  Dtype dtype = Dtype::kFloat32;  // Of the result.
  bool use_mmap = true;           // Map where nothing needs converting.
};

// One tensor of a checkpoint on the CPU, in `options.dtype`: mapped when that
// is how it is stored, else read and converted, by as many threads as LibTorch
// computes with (with scratch memory of the tensor's size only where it is not
// stored in place). kUnimplemented for a conversion that is not between
// floating types.
absl::StatusOr<at::Tensor> ReadTensor(const Checkpoint& checkpoint,
                                      const TensorInfo& info,
                                      const ReadOptions& options);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_TENSOR_BRIDGE_H_
