#include "modeling/relative_position_bias.h"

#include <cmath>
#include <cstdint>

#include "ATen/ATen.h"

namespace pretrained {

at::Tensor RelativePositions(int64_t queries, int64_t keys, at::Device device) {
  return at::arange(1 - keys, queries, at::dtype(at::kLong).device(device));
}

at::Tensor RelativePositionBuckets(const at::Tensor& relative_positions,
                                   const RelativePositionOptions& options) {
  int64_t num_buckets = options.num_buckets;
  at::Tensor offset;
  at::Tensor distance;
  if (options.bidirectional) {
    num_buckets /= 2;
    offset = relative_positions.gt(0).to(at::kLong) * num_buckets;
    distance = relative_positions.abs();
  } else {
    distance = -relative_positions.clamp_max(0);
  }
  // Up to here each distance has its bucket; beyond, buckets grow with the
  // logarithm. Every operation is in float32 and in the peer's order, since a
  // distance on the edge of a bucket falls where rounding puts it.
  const int64_t max_exact = num_buckets / 2;
  const double edges = static_cast<double>(max_exact);
  const at::Tensor steps =
      (at::log(distance.to(at::kFloat) / edges) /
       std::log(static_cast<double>(options.max_distance) / edges) *
       static_cast<double>(num_buckets - max_exact));
  // The logarithm of a small distance is not used, and that of 0 has no
  // integer.
  const at::Tensor large = (steps.clamp_min(0.0).to(at::kLong) + max_exact)
                               .clamp_max(num_buckets - 1);
  const at::Tensor buckets = at::where(distance < max_exact, distance, large);
  return offset.defined() ? buckets + offset : buckets;
}

at::Tensor SpreadRelativeBias(const at::Tensor& values, int64_t queries) {
  const int64_t keys = values.size(0) - queries + 1;
  // Query i sees the window of distances that begins at queries - 1 - i.
  return values.t().unfold(1, keys, 1).flip(1).unsqueeze(0);
}

}  // namespace pretrained
