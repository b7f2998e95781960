#include "modeling/weight_init.h"

#include "ATen/core/Tensor.h"
#include "ATen/core/grad_mode.h"
#include "device_map/module_tree.h"
#include "modeling/layers.h"
#include "modeling/module.h"
#include "modeling/pretrained_model.h"

namespace pretrained {

void InitializeNormal(const TensorToInitialize& target,
                      double standard_deviation) {
  at::NoGradGuard no_grad;
  at::Tensor tensor = target.tensor;
  const Module& owner = target.owner;
  if (LastPart(target.name) != "weight") {
    tensor.zero_();
  } else if (dynamic_cast<const LayerNorm*>(&owner) != nullptr ||
             dynamic_cast<const RmsNorm*>(&owner) != nullptr) {
    tensor.fill_(1.0);
  } else {
    tensor.normal_(0.0, standard_deviation, target.generator);
    const auto* embedding = dynamic_cast<const Embedding*>(&owner);
    if (embedding != nullptr && !target.is_new_rows &&
        embedding->padding_idx().has_value() &&
        *embedding->padding_idx() < tensor.size(0)) {
      tensor.select(0, *embedding->padding_idx()).zero_();
    }
  }
}

}  // namespace pretrained
