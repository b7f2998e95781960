#ifndef PRETRAINED_GENERATION_STOPPING_CRITERIA_H_
#define PRETRAINED_GENERATION_STOPPING_CRITERIA_H_

#include "ATen/core/Tensor.h"

namespace pretrained {

// Whether texts are long enough.
class StoppingCriteria {
 public:
  virtual ~StoppingCriteria() = default;
  virtual bool ShouldStop(const at::Tensor& input_ids,
                          const at::Tensor& scores) = 0;
};

}  // namespace pretrained

#endif  // PRETRAINED_GENERATION_STOPPING_CRITERIA_H_
