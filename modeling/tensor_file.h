#ifndef PRETRAINED_MODELING_TENSOR_FILE_H_
#define PRETRAINED_MODELING_TENSOR_FILE_H_

#include <string>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modeling/model_output.h"

namespace pretrained {

// Tensors by name, read from and written to a safetensors file: a model's
// inputs and outputs.

// Mapped, in their stored dtypes.
absl::StatusOr<NamedTensors> ReadTensorFile(const std::string& path);

// Written aside and then put in place, from any device and with any strides.
absl::Status WriteTensorFile(
    const std::string& path,
    const std::vector<std::pair<std::string, at::Tensor>>& tensors);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_TENSOR_FILE_H_
