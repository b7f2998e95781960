#ifndef PRETRAINED_MODELING_ALIBI_H_
#define PRETRAINED_MODELING_ALIBI_H_

#include <cstdint>

#include "ATen/core/Tensor.h"
#include "c10/core/Device.h"

namespace pretrained {

// Attention with linear biases (Press et al., 2021): instead of embeddings of
// positions, a key's score grows with its position, by a slope of each head's
// own. Softmax does not see what all keys of a query have in common, so that
// only distances matter.

// The slope of each head: a geometric series that ends at 2^-8, where the heads
// are a power of two; further heads have slopes in between the first ones.
//   returns  [num_heads] of float32
at::Tensor AlibiSlopes(int64_t num_heads, at::Device device = at::kCPU);

// What is added to attention scores: slope times position. A token's position
// is the number of tokens before it that attend, cached ones included; that of
// a token that does not attend is 0.
//
//   attention_mask  [batch, keys] of any dtype: 1 attends, 0 does not; may hold
//                   fractions, which count as they are
//   returns         [batch, num_heads, 1, keys] of float32
//
// Matches: transformers 4.34 modeling_bloom.py `build_alibi_tensor`.
// Differs: float32 whatever the model's dtype, in which far positions would be
//     one and the same.
at::Tensor AlibiBias(const at::Tensor& attention_mask, int64_t num_heads);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_ALIBI_H_
