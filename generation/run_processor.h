#ifndef PRETRAINED_GENERATION_RUN_PROCESSOR_H_
#define PRETRAINED_GENERATION_RUN_PROCESSOR_H_

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "generation/logits_processor.h"
#include "modeling/catch_torch.h"

namespace pretrained {

// What every processor does around its own work: checks, and turns what
// LibTorch throws into a Status. `work` returns an at::Tensor, or an
// absl::StatusOr of one.
template <typename Work>
absl::StatusOr<at::Tensor> RunProcessor(const char* processor,
                                        const at::Tensor& input_ids,
                                        const at::Tensor& scores, Work&& work) {
  absl::Status status = CheckProcessorInputs(processor, input_ids, scores);
  if (!status.ok()) return status;
  return CatchTorch(processor,
                    [&]() -> absl::StatusOr<at::Tensor> { return work(); });
}

// The same for a processor that does not look at `input_ids`.
template <typename Work>
absl::StatusOr<at::Tensor> RunWarper(const char* processor,
                                     const at::Tensor& scores, Work&& work) {
  absl::Status status = CheckScores(processor, scores);
  if (!status.ok()) return status;
  return CatchTorch(processor,
                    [&]() -> absl::StatusOr<at::Tensor> { return work(); });
}

}  // namespace pretrained

#endif  // PRETRAINED_GENERATION_RUN_PROCESSOR_H_
