#ifndef PRETRAINED_MODELING_FLOPS_H_
#define PRETRAINED_MODELING_FLOPS_H_

#include <cstdint>
#include <vector>

#include "modeling/parameter_counts.h"

namespace pretrained {

// Floating-point operations of a forward and a backward pass over `num_tokens`
// tokens: six for each token and parameter, embeddings left out unless told
// otherwise; attention scores are not counted. `num_tokens` is the number of
// elements of the model's main input (4.34's `estimate_tokens`).
//
// Matches: transformers 4.34 modeling_utils.py `floating_point_ops`.
int64_t FloatingPointOps(const std::vector<CountedTensor>& tensors,
                         int64_t num_tokens, bool exclude_embeddings = true);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_FLOPS_H_
