#include "modeling/alibi.h"

#include <bit>
#include <cmath>
#include <cstdint>

#include "ATen/ATen.h"

namespace pretrained {
namespace {

// base^first, base^(first + step), .. for the series of `heads` heads, a power
// of two: base is 2^(-8 / heads), in float32 as the peer has it.
at::Tensor Series(int64_t heads, int64_t step, int64_t count,
                  at::Device device) {
  const double base = std::exp2(-8.0 / static_cast<double>(heads));
  const at::Tensor powers =
      at::arange(1, 1 + step * count, step, at::dtype(at::kInt).device(device));
  return at::pow(at::full({}, base, at::dtype(at::kFloat).device(device)),
                 powers);
}

}  // namespace

at::Tensor AlibiSlopes(int64_t num_heads, at::Device device) {
  const auto whole =
      static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(num_heads)));
  const at::Tensor slopes = Series(whole, 1, whole, device);
  if (whole == num_heads) return slopes;
  // Every other slope of a model with twice as many.
  return at::cat({slopes, Series(2 * whole, 2, num_heads - whole, device)});
}

at::Tensor AlibiBias(const at::Tensor& attention_mask, int64_t num_heads) {
  const at::Tensor positions =
      (attention_mask.cumsum(-1) - 1) * attention_mask;  // [batch, keys]
  const at::Tensor slopes = AlibiSlopes(num_heads, attention_mask.device());
  return (slopes.view({1, num_heads, 1, 1}) *
          positions.unsqueeze(1).unsqueeze(1))
      .to(at::kFloat);
}

}  // namespace pretrained
