#include "generation/sampling.h"

#include <cstdint>
#include <optional>
#include <utility>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "generation/logits_processor.h"
#include "modeling/catch_torch.h"

namespace pretrained {

absl::StatusOr<at::Tensor> Sample(const at::Tensor& probabilities,
                                  int64_t num_samples,
                                  std::optional<at::Generator> generator) {
  absl::Status status = CheckScores("Sample()", probabilities);
  if (!status.ok()) return status;
  if (num_samples < 1 || num_samples > probabilities.size(1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("Sample(): ", num_samples, " tokens are to be drawn, but ",
                     "from 1 to ", probabilities.size(1), " are there"));
  }
  return CatchTorch("Sample()", [&]() -> absl::StatusOr<at::Tensor> {
    return at::multinomial(probabilities, num_samples, /*replacement=*/false,
                           std::move(generator));
  });
}

absl::StatusOr<at::Tensor> SampleFromLogits(
    const at::Tensor& logits, int64_t num_samples,
    std::optional<at::Generator> generator) {
  absl::Status status = CheckScores("SampleFromLogits()", logits);
  if (!status.ok()) return status;
  absl::StatusOr<at::Tensor> probabilities = CatchTorch(
      "SampleFromLogits()",
      [&]() -> absl::StatusOr<at::Tensor> { return logits.softmax(-1); });
  if (!probabilities.ok()) return probabilities;
  return Sample(*probabilities, num_samples, std::move(generator));
}

}  // namespace pretrained
