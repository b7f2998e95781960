#ifndef PRETRAINED_MODELING_FEW_ROW_LINEAR_H_
#define PRETRAINED_MODELING_FEW_ROW_LINEAR_H_

#include <optional>

#include "ATen/core/Tensor.h"

namespace pretrained {

// How a weight's dimensions are meant.
enum class WeightLayout {
  kOutIn,  // [out, in]: y = x weight^T
  kInOut,  // [in, out]: y = x weight
};

// A linear layer's result for a few rows x [.., in], as a text that grows token
// by token has: [.., out]; nullopt where it is none of those that are faster
// here than in LibTorch, which then is to compute it:
// 1 to 8 rows, a large matrix, both of float32, bfloat16 or float16, contiguous
// on the CPU, no gradients, an x86 CPU with AVX2.
//   bias  [out], or undefined
// Sums are in float32 and rounded once; they agree with LibTorch's up to
// rounding, and are the same for a row whatever rows are beside it.
// Cost: that of reading the weight. LibTorch's half matrices cost about ten
//     times as much, and float32 ones with 2 to 8 rows.
// Threads: as many as LibTorch's at::parallel_for takes.
std::optional<at::Tensor> LinearOfFewRows(const at::Tensor& x,
                                          const at::Tensor& weight,
                                          const at::Tensor& bias,
                                          WeightLayout layout);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_FEW_ROW_LINEAR_H_
