#ifndef PRETRAINED_MODELING_WANTS_GRADIENT_H_
#define PRETRAINED_MODELING_WANTS_GRADIENT_H_

#include "ATen/core/Tensor.h"
#include "ATen/core/grad_mode.h"

namespace pretrained {

// Whether LibTorch records what is computed from these tensors, some of which
// may be undefined: a kernel of our own, which records nothing, then stands
// back.
template <typename... Tensors>
bool WantsGradient(const Tensors&... tensors) {
  return at::GradMode::is_enabled() &&
         ((tensors.defined() && tensors.requires_grad()) || ...);
}

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_WANTS_GRADIENT_H_
