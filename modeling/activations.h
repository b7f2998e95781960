#ifndef PRETRAINED_MODELING_ACTIVATIONS_H_
#define PRETRAINED_MODELING_ACTIVATIONS_H_

#include "ATen/core/Tensor.h"
#include "absl/strings/string_view.h"

namespace pretrained {

using ActivationFunction = at::Tensor (*)(const at::Tensor& x);

// The elementwise function that a config calls `name`; null for a name that
// activation_names.h does not list. Shape and dtype are kept.
// Matches: transformers 4.34 activations.py `ACT2FN`.
ActivationFunction GetActivation(absl::string_view name);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_ACTIVATIONS_H_
