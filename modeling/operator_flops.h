#ifndef PRETRAINED_MODELING_OPERATOR_FLOPS_H_
#define PRETRAINED_MODELING_OPERATOR_FLOPS_H_

#include <cstdint>
#include <optional>

#include "ATen/core/ivalue.h"
#include "absl/strings/string_view.h"
#include "c10/util/ArrayRef.h"

namespace pretrained {

// Floating-point operations of one call of an operator. An addition, a
// multiplication, a division, a maximum, a root, an exponential or another
// elementary function is one each.
struct OperatorFlops {
  int64_t matmul = 0;  // Of products of matrices: 2 m n k.
  int64_t other = 0;   // Everything else.

  int64_t total() const { return matmul + other; }
};

// What the operator `name` ("mm", "_softmax"; without "aten::", and without the
// '_' that ends the name of one that works in place) computes on `inputs`, the
// arguments in the order of its schema. nullopt for a name without a formula.
//
//   mm, bmm, mv, dot     2 m n k
//   addmm, baddbmm, addmv, few_row_linear    the same, and 1 for each number of
//                        the result that something is added to
//   scaled_dot_product_attention    2 q k (d + d_v) for each head and row; for
//                        each score 1 for the scale, 1 for a mask, and the
//                        softmax. Causal or not: all scores count
//   softmax, log_softmax    5 for each number: maximum, difference,
//                        exponential, sum, quotient (or difference)
//   native_layer_norm    5 for each number: mean, difference, square, sum,
//                        product; 1 more each for weight and bias
//   gelu                 5, with tanh 8; mish 5; silu, sigmoid, log_sigmoid 4;
//                        relu 1
//   add, mul, div, pow, exp, rsqrt, ..    1 for each number of the result; add
//                        and sub with a factor 2
//   sum, mean, cumsum, ..    1 for each number of the input
//   mse_loss 3, native_dropout 2 for each number; nll_loss 1 for each label
//
// What works out few numbers from many, such as the root of a row's variance,
// is left out. Numbers that are not floating count as none, and so does what
// moves, compares or draws them.
std::optional<OperatorFlops> FlopsOfOperator(absl::string_view name,
                                             c10::ArrayRef<c10::IValue> inputs);

// Whether an operator is known to compute nothing: it moves, selects, casts,
// compares or draws numbers.
bool ComputesNothing(absl::string_view name);

// Whether one of `inputs` is a floating tensor, or a list that has one.
bool HasFloatingTensor(c10::ArrayRef<c10::IValue> inputs);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_OPERATOR_FLOPS_H_
