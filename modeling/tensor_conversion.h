#ifndef PRETRAINED_MODELING_TENSOR_CONVERSION_H_
#define PRETRAINED_MODELING_TENSOR_CONVERSION_H_

#include <optional>

#include "absl/status/status.h"
#include "c10/core/Device.h"
#include "c10/core/ScalarType.h"
#include "modeling/module.h"

namespace pretrained {

// Where and as what a module's tensors are to be; what is not said stays.
struct TensorConversion {
  std::optional<at::Device> device;
  std::optional<at::ScalarType> dtype;  // Of floating tensors.
};

// Moves every parameter and buffer below and including `root` to the device,
// and converts the floating ones; integers and bools keep their dtype.
//
// Tied parameters stay one tensor, requires_grad stays, and gradients come
// along. On the same kind of device the tensor objects stay the same ones, so
// that an optimizer that holds them goes on; each old value is freed before the
// next one is made. Buffers that share memory still do. What is mapped from a
// file is copied only where something changes.
//
//   kInvalidArgument     a dtype that is not floating
//   kFailedPrecondition  tensors on the meta device, which have no values to
//                        move elsewhere; names the first
//   kResourceExhausted   memory ran out: tensors up to there are converted
// Nothing is changed by the first two.
// Matches: torch's `Module.to()`, `half()`, `float()`, `bfloat16()`.
absl::Status ConvertTensors(Module& root, const TensorConversion& conversion);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_TENSOR_CONVERSION_H_
