#ifndef PRETRAINED_GENERATION_LOGITS_PROCESSOR_H_
#define PRETRAINED_GENERATION_LOGITS_PROCESSOR_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"

namespace pretrained {

// Changes the scores of next tokens.
class LogitsProcessor {
 public:
  virtual ~LogitsProcessor() = default;
  //   input_ids  [rows, tokens] of int64
  //   scores     [rows, vocabulary]; may be changed in place
  virtual absl::StatusOr<at::Tensor> Process(const at::Tensor& input_ids,
                                             at::Tensor scores) = 0;
};

}  // namespace pretrained

#endif  // PRETRAINED_GENERATION_LOGITS_PROCESSOR_H_
