#ifndef PRETRAINED_MODELING_TENSOR_DIGEST_H_
#define PRETRAINED_MODELING_TENSOR_DIGEST_H_

#include <string>

#include "ATen/core/Tensor.h"

namespace pretrained {

// The first 16 bytes, as hexadecimal digits, of the SHA-256 of a tensor's
// elements in order: the digest that golden data has of a tensor on the CPU.
std::string DigestOf(const at::Tensor& tensor);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_TENSOR_DIGEST_H_
