#ifndef PRETRAINED_DEVICE_MAP_MEMORY_ESTIMATOR_H_
#define PRETRAINED_DEVICE_MAP_MEMORY_ESTIMATOR_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "device_map/module_tree.h"

namespace pretrained {

// The dtypes that estimates are made for unless others are asked for.
inline constexpr absl::string_view kEstimatedDtypes[] = {
    "float32", "float16", "bfloat16", "float8", "int8", "int4"};

// Bytes that a model takes as one dtype.
struct DtypeEstimate {
  std::string dtype;
  double total = 0;  // Weights: parameters and buffers.
  // The largest part that has to be on a device as a whole, and its names.
  double largest_layer = 0;
  std::vector<std::string> largest_layers;
  // Training with Adam, all in this dtype: the weights, a gradient for each
  // parameter, and two moments for each.
  double gradients = 0;
  double optimizer_states = 0;

  double training() const { return total + gradients + optimizer_states; }
};

// How large a model is as each of `dtypes` (ElementBits() names them); a tensor
// of a smaller dtype keeps its own. kInvalidArgument for another dtype, and as
// SizedTree::Create().
// Matches: accelerate 0.23 utils/modeling.py `calculate_maximum_sizes`;
//     commands/estimate.py.
// Differs: tensors of smaller dtypes keep them; there every size is that of
//     float32 divided. Buffers have no gradients; there training is four times
//     the whole.
absl::StatusOr<std::vector<DtypeEstimate>> EstimateMemory(
    const ModuleTree& tree, const std::vector<std::string>& no_split_classes,
    absl::Span<const absl::string_view> dtypes = kEstimatedDtypes);

// What the sizes of a transformer's activations follow from.
struct TransformerShape {
  int64_t layers = 0;  // Of the encoder, or of the decoder where it is alone.
  int64_t decoder_layers = 0;  // Where a decoder attends to an encoder.
  int64_t hidden_size = 0;
  int64_t heads = 0;
  int64_t key_value_heads = 0;  // Fewer than `heads` where queries share keys.
  int64_t head_size = 0;
  int64_t intermediate_size = 0;    // Inner size of the feed-forward network,
  int64_t feed_forward_inputs = 1;  // and how many of it: 2 where one is gated.
  int64_t vocab_size = 0;  // Of the logits; 0 without a language model's head.
  bool has_cache = false;  // Whether keys and values are kept to generate.
};

// Bytes beside the weights.
struct ActivationEstimate {
  double key_value_cache = 0;
  // The most that one forward pass without gradients holds at a time, and what
  // one with gradients keeps for the backward pass.
  double forward = 0;
  double training = 0;
};

// For `batch` sequences of `length` tokens (source and target alike), with
// elements of `bits` bits. The cache is exact; the others are estimates of what
// eager attention holds: the input and output of each step of a layer, and the
// scores of all heads, which fused kernels avoid.
ActivationEstimate EstimateActivations(const TransformerShape& shape,
                                       int64_t batch, int64_t length, int bits);

}  // namespace pretrained

#endif  // PRETRAINED_DEVICE_MAP_MEMORY_ESTIMATOR_H_
