#include "device_map/memory_estimator.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "device_map/module_tree.h"
#include "device_map/sized_tree.h"

namespace pretrained {

absl::StatusOr<std::vector<DtypeEstimate>> EstimateMemory(
    const ModuleTree& tree, const std::vector<std::string>& no_split_classes,
    absl::Span<const absl::string_view> dtypes) {
  std::vector<DtypeEstimate> estimates;
  for (const absl::string_view dtype : dtypes) {
    const absl::StatusOr<int> bits = ElementBits(dtype);
    if (!bits.ok()) return bits.status();
    const absl::StatusOr<SizedTree> sized = SizedTree::Create(
        tree, {.bits = *bits, .no_split_classes = no_split_classes});
    if (!sized.ok()) return sized.status();
    const LargestLayer largest = FindLargestLayer(*sized);
    DtypeEstimate estimate{
        .dtype = std::string(dtype),
        .total = sized->root().bytes,
        .largest_layer = largest.bytes,
        .gradients = sized->root().parameter_bytes,
        .optimizer_states = 2 * sized->root().parameter_bytes};
    for (const int layer : largest.layers) {
      estimate.largest_layers.push_back(sized->item(layer).name);
    }
    estimates.push_back(std::move(estimate));
  }
  return estimates;
}

ActivationEstimate EstimateActivations(const TransformerShape& shape,
                                       int64_t batch, int64_t length,
                                       int bits) {
  const double bytes = bits / 8.0;
  const double tokens = static_cast<double>(batch) * length;
  const double keys_and_values =
      2.0 * tokens * shape.key_value_heads * shape.head_size;
  const double scores =
      static_cast<double>(batch) * shape.heads * length * length;
  const double hidden = tokens * shape.hidden_size;
  const double queries = tokens * shape.heads * shape.head_size;
  // Input, queries, keys, values, scores before and after softmax, context.
  const double attention =
      hidden + queries + keys_and_values + 2 * scores + queries;
  const double feed_forward = 2 * hidden + tokens * shape.intermediate_size *
                                               (shape.feed_forward_inputs + 1);
  const double logits = tokens * shape.vocab_size;
  // The residual stands beside whichever step is the largest.
  const double peak =
      hidden + std::max({attention, feed_forward, hidden + logits});
  const double encoder = shape.layers * (2 * hidden + attention + feed_forward);
  const double decoder =
      shape.decoder_layers * (3 * hidden + 2 * attention + feed_forward);
  ActivationEstimate estimate;
  estimate.forward = peak * bytes;
  estimate.training = (encoder + decoder + hidden + logits) * bytes;
  if (shape.has_cache) {
    // A decoder beside an encoder keeps the encoder's keys and values too.
    const int64_t caches =
        shape.decoder_layers > 0 ? 2 * shape.decoder_layers : shape.layers;
    estimate.key_value_cache = caches * keys_and_values * bytes;
  }
  return estimate;
}

}  // namespace pretrained
