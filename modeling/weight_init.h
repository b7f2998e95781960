#ifndef PRETRAINED_MODELING_WEIGHT_INIT_H_
#define PRETRAINED_MODELING_WEIGHT_INIT_H_

#include "modeling/pretrained_model.h"

namespace pretrained {

// Fills `target` as most families do: matrices of
// Linear, Conv1D and Embedding from Normal(0, standard_deviation), an
// embedding's padding row 0, biases 0, a norm's weight 1. Matches: the
// `_init_weights` of transformers 4.34's BERT and its kin.
void InitializeNormal(const TensorToInitialize& target,
                      double standard_deviation);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_WEIGHT_INIT_H_
