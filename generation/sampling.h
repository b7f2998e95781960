#ifndef PRETRAINED_GENERATION_SAMPLING_H_
#define PRETRAINED_GENERATION_SAMPLING_H_

#include <cstdint>
#include <optional>

#include "ATen/core/Generator.h"
#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"

namespace pretrained {

// Draws tokens, of each row `num_samples` different ones; the first is
// distributed as the row says, and each further one as what is left.
//
//   probabilities  [rows, vocabulary], floating-point; rows need not add up to
//   1 generator      of the tensor's device; nullopt: LibTorch's default one,
//                  which at::manual_seed() seeds. The same state, tensor and
//                  device draw the same tokens.
//   returns        [rows, num_samples] int64
//
// Where a row has fewer than `num_samples` tokens above 0, impossible ones make
// up the number, as in the peer.
// kInvalidArgument for negative, infinite or missing (NaN) numbers, a row of
// zeros, and num_samples outside [1, vocabulary].
// Matches: torch.multinomial(probabilities, num_samples), as
//     transformers 4.34 `sample` and `beam_sample` call it.
absl::StatusOr<at::Tensor> Sample(
    const at::Tensor& probabilities, int64_t num_samples = 1,
    std::optional<at::Generator> generator = std::nullopt);

// The same from logits, or log probabilities: softmax is taken first.
absl::StatusOr<at::Tensor> SampleFromLogits(
    const at::Tensor& logits, int64_t num_samples = 1,
    std::optional<at::Generator> generator = std::nullopt);

}  // namespace pretrained

#endif  // PRETRAINED_GENERATION_SAMPLING_H_
