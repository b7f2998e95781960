#include "modeling/few_row_linear.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "ATen/Parallel.h"
#include "ATen/core/Tensor.h"
#include "ATen/core/grad_mode.h"
#include "ATen/core/ivalue.h"
#include "ATen/ops/empty.h"
#include "ATen/ops/zeros.h"
#include "ATen/record_function.h"
#include "modeling/few_row_kernels.h"

namespace pretrained {
namespace {

// Smaller matrices lie in the caches, where LibTorch is as fast.
constexpr int64_t kLeastNumbers = 1 << 14;
// Numbers of a matrix that are worth a thread.
constexpr int64_t kNumbersOfThread = 1 << 15;

std::optional<MatrixDtype> DtypeOf(const at::Tensor& x) {
  switch (x.scalar_type()) {
    case at::kFloat:
      return MatrixDtype::kFloat32;
    case at::kBFloat16:
      return MatrixDtype::kBFloat16;
    case at::kHalf:
      return MatrixDtype::kFloat16;
    default:
      return std::nullopt;
  }
}

bool WantsGradient(const at::Tensor& x, const at::Tensor& weight) {
  return at::GradMode::is_enabled() &&
         (x.requires_grad() || weight.requires_grad());
}

// Columns of the result, each by one thread.
at::Tensor ByColumns(const at::Tensor& x, const at::Tensor& weight,
                     MatrixDtype dtype) {
  const int64_t rows = x.size(0);
  const int64_t in = x.size(1);
  const int64_t out = weight.size(0);
  const at::Tensor y = at::empty({rows, out}, x.options());
  at::parallel_for(0, out, std::max<int64_t>(1, kNumbersOfThread / in),
                   [&](int64_t begin, int64_t end) {
                     TimesTransposed(x.data_ptr<float>(), rows, in,
                                     weight.data_ptr(), dtype, out, begin, end,
                                     y.data_ptr<float>());
                   });
  return y;
}

// Parts of the sums, each by one thread. They are cut at the same places
// whatever the number of threads is.
at::Tensor ByParts(const at::Tensor& x, const at::Tensor& weight,
                   MatrixDtype dtype) {
  const int64_t rows = x.size(0);
  const int64_t in = x.size(1);
  const int64_t out = weight.size(1);
  constexpr int64_t kMostParts = 8;
  const int64_t parts = std::clamp<int64_t>(in * out / (4 * kNumbersOfThread),
                                            1, std::min(in, kMostParts));
  const at::Tensor sums = at::zeros({parts, rows, out}, x.options());
  at::parallel_for(0, parts, 1, [&](int64_t first, int64_t last) {
    for (int64_t part = first; part < last; ++part) {
      AddTimes(x.data_ptr<float>(), rows, in, weight.data_ptr(), dtype, out,
               in * part / parts, in * (part + 1) / parts,
               sums.data_ptr<float>() + part * rows * out);
    }
  });
  return parts == 1 ? sums.select(0, 0) : sums.sum(0);
}

}  // namespace

std::optional<at::Tensor> LinearOfFewRows(const at::Tensor& x,
                                          const at::Tensor& weight,
                                          const at::Tensor& bias,
                                          WeightLayout layout) {
  if (x.dim() < 1 || !x.is_cpu() || !weight.is_cpu() || weight.dim() != 2 ||
      weight.numel() < kLeastNumbers || !weight.is_contiguous() ||
      x.scalar_type() != weight.scalar_type()) {
    return std::nullopt;
  }
  const bool out_first = layout == WeightLayout::kOutIn;
  const int64_t in = weight.size(out_first ? 1 : 0);
  const int64_t out = weight.size(out_first ? 0 : 1);
  if (x.size(-1) != in || x.numel() == 0 || x.numel() / in > kFewRows ||
      WantsGradient(x, weight) || !HasFewRowKernels()) {
    return std::nullopt;
  }
  const std::optional<MatrixDtype> dtype = DtypeOf(weight);
  if (!dtype.has_value()) return std::nullopt;
  // Seen as one operator by whoever listens to LibTorch's (exact_flops.h).
  RECORD_FUNCTION("pretrained::few_row_linear",
                  (std::vector<c10::IValue>{x, weight, bias}));
  const at::Tensor rows = x.reshape({-1, in}).to(at::kFloat).contiguous();
  at::Tensor y = out_first ? ByColumns(rows, weight, *dtype)
                           : ByParts(rows, weight, *dtype);
  if (bias.defined()) y = y.add(bias);
  std::vector<int64_t> sizes = x.sizes().vec();
  sizes.back() = out;
  return y.to(x.scalar_type()).view(sizes);
}

}  // namespace pretrained
