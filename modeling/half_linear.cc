#include "modeling/half_linear.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "ATen/core/Tensor.h"
#include "ATen/ops/empty.h"
#include "ATen/ops/mm.h"
#include "modeling/wants_gradient.h"

namespace pretrained {
namespace {

// Of the weight, as float32 at one time.
constexpr int64_t kBlockNumbers = 1 << 20;

bool IsHalf(const at::Tensor& x) {
  return x.scalar_type() == at::kBFloat16 || x.scalar_type() == at::kHalf;
}

}  // namespace

bool HasHalfMatrixKernels(at::ScalarType type) {
#if defined(__x86_64__)
  // LibTorch's own conditions, those of oneDNN.
  static const bool has_avx512 = __builtin_cpu_supports("avx512bw") &&
                                 __builtin_cpu_supports("avx512vl") &&
                                 __builtin_cpu_supports("avx512dq");
  return type == at::kBFloat16 && has_avx512;
#else
  return true;
#endif
}

std::optional<at::Tensor> LinearOfHalf(const at::Tensor& x,
                                       const at::Tensor& weight,
                                       const at::Tensor& bias,
                                       WeightLayout layout) {
  if (!IsHalf(x) || !x.is_cpu() || !weight.is_cpu() || weight.dim() != 2 ||
      x.scalar_type() != weight.scalar_type() || x.dim() < 1 ||
      x.numel() == 0 || HasHalfMatrixKernels(x.scalar_type())) {
    return std::nullopt;
  }
  const at::Tensor matrix =  // [in, out]
      layout == WeightLayout::kOutIn ? weight.t() : weight;
  const int64_t in = matrix.size(0);
  const int64_t out = matrix.size(1);
  if (WantsGradient(x, weight, bias) || x.size(-1) != in || out == 0)
    return std::nullopt;
  const at::Tensor rows = x.reshape({-1, in}).to(at::kFloat);
  at::Tensor y = at::empty({rows.size(0), out}, rows.options());
  const int64_t block = std::max<int64_t>(1, kBlockNumbers / in);
  for (int64_t first = 0; first < out; first += block) {
    const int64_t count = std::min(block, out - first);
    at::Tensor part = y.narrow(1, first, count);
    at::mm_out(part, rows, matrix.narrow(1, first, count).to(at::kFloat));
  }
  if (bias.defined()) y.add_(bias);
  std::vector<int64_t> sizes = x.sizes().vec();
  sizes.back() = out;
  return y.to(x.scalar_type()).view(sizes);
}

}  // namespace pretrained
