#ifndef PRETRAINED_MODELING_ONE_QUERY_ATTENTION_H_
#define PRETRAINED_MODELING_ONE_QUERY_ATTENTION_H_

#include <optional>

#include "ATen/core/Tensor.h"
#include "modeling/attention.h"

namespace pretrained {

// The context [b, h, 1, d] of one query for each head, as a text that grows
// token by token has, read straight from keys and values where they lie;
// nullopt where Attend() is to compute it another way:
// all float32, bfloat16 or float16 of one dtype, on an x86 CPU with AVX2, keys
// and values of a head in one piece; no gradients, no head mask, no dropout, no
// probabilities wanted.
// Scores, softmax and sums are in float32, rounded once; a query that every key
// is hidden from by -infinity gets 0. A row's are the same whatever is beside
// it.
// Cost: that of reading keys and values, once for each group of up to eight
//     heads.
// Threads: as many as LibTorch's at::parallel_for takes.
std::optional<at::Tensor> AttendOneQuery(const AttentionArguments& arguments);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_ONE_QUERY_ATTENTION_H_
