#include "modeling/weight_init.h"

#include "ATen/core/Tensor.h"
#include "ATen/core/grad_mode.h"
#include "absl/strings/string_view.h"
#include "modeling/layers.h"
#include "modeling/module.h"

namespace pretrained {

void InitializeNormal(absl::string_view name, const Module& owner,
                      double standard_deviation, at::Tensor tensor) {
  at::NoGradGuard no_grad;
  if (name != "weight") {
    tensor.zero_();
  } else if (dynamic_cast<const LayerNorm*>(&owner) != nullptr) {
    tensor.fill_(1.0);
  } else {
    tensor.normal_(0.0, standard_deviation);
    const auto* embedding = dynamic_cast<const Embedding*>(&owner);
    if (embedding != nullptr && embedding->padding_idx().has_value() &&
        *embedding->padding_idx() < tensor.size(0)) {
      tensor.select(0, *embedding->padding_idx()).zero_();
    }
  }
}

}  // namespace pretrained
