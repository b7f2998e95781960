#ifndef PRETRAINED_MODELING_WEIGHT_INIT_H_
#define PRETRAINED_MODELING_WEIGHT_INIT_H_

#include "ATen/core/Tensor.h"
#include "absl/strings/string_view.h"
#include "modeling/module.h"

namespace pretrained {

// Draws `tensor`, the new `name` of `owner`, as most families do: matrices of
// Linear and Embedding from Normal(0, standard_deviation), an embedding's
// padding row 0, biases 0, a norm's weight 1.
// Matches: the `_init_weights` of transformers 4.34's BERT and its kin.
void InitializeNormal(absl::string_view name, const Module& owner,
                      double standard_deviation, at::Tensor tensor);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_WEIGHT_INIT_H_
