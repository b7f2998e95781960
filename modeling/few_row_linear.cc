#include "modeling/few_row_linear.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "ATen/Parallel.h"
#include "ATen/core/Tensor.h"
#include "ATen/core/ivalue.h"
#include "ATen/ops/empty.h"
#include "ATen/record_function.h"
#include "modeling/few_row_kernels.h"
#include "modeling/kernel_dtype.h"
#include "modeling/wants_gradient.h"

namespace pretrained {
namespace {

// Smaller matrices lie in the caches, where LibTorch is as fast.
constexpr int64_t kLeastNumbers = 1 << 14;
// Numbers of a matrix that are worth a thread.
constexpr int64_t kNumbersOfThread = 1 << 15;

// Whether the kernels can read `bias` as they read `weight`.
bool Fits(const at::Tensor& bias, const at::Tensor& weight) {
  return !bias.defined() || (bias.is_cpu() && bias.is_contiguous() &&
                             bias.scalar_type() == weight.scalar_type());
}

struct Product {
  const at::Tensor& x;       // [rows, in] of float32.
  const at::Tensor& weight;  // Of `dtype`.
  const at::Tensor& bias;    // [out] of `dtype`, or undefined.
  MatrixDtype dtype;

  int64_t rows() const { return x.size(0); }
  int64_t in() const { return x.size(1); }
  // Of its numbers from `first` on.
  const void* Bias(int64_t first) const {
    if (!bias.defined()) return nullptr;
    return static_cast<const char*>(bias.data_ptr()) +
           first * bias.element_size();
  }
};

// Puts numbers `begin` to `end` - 1 of each row in y, from sums [rows, out] in
// `parts` parts.
void Finish(const Product& product, const float* sums, int64_t parts,
            int64_t begin, int64_t end, const at::Tensor& y) {
  const int64_t out = y.size(1);
  for (int64_t row = 0; row < product.rows(); ++row) {
    const int64_t first = row * out + begin;
    SumRounded(sums + first, parts, product.rows() * out, product.Bias(begin),
               product.dtype, end - begin,
               static_cast<char*>(y.data_ptr()) + first * y.element_size());
  }
}

// Columns of the result, each by one thread.
at::Tensor ByColumns(const Product& product) {
  const int64_t out = product.weight.size(0);
  const at::Tensor y =
      at::empty({product.rows(), out}, product.weight.options());
  const at::Tensor sums = product.dtype == MatrixDtype::kFloat32
                              ? y
                              : at::empty(y.sizes(), product.x.options());
  const float* const x = product.x.data_ptr<float>();
  const void* const weight = product.weight.data_ptr();
  float* const to = sums.data_ptr<float>();
  const int64_t grain = std::max<int64_t>(1, kNumbersOfThread / product.in());
  at::parallel_for(0, out, grain, [&](int64_t begin, int64_t end) {
    TimesTransposed(x, product.rows(), product.in(), weight, product.dtype, out,
                    begin, end, to);
    if (!sums.is_same(y) || product.bias.defined()) {
      Finish(product, to, 1, begin, end, y);
    }
  });
  return y;
}

// Parts of the sums, each by one thread. They are cut at the same places
// whatever the number of threads is.
at::Tensor ByParts(const Product& product) {
  const int64_t in = product.in();
  const int64_t out = product.weight.size(1);
  constexpr int64_t kMostParts = 8;
  const int64_t parts = std::clamp<int64_t>(in * out / (8 * kNumbersOfThread),
                                            1, std::min(in, kMostParts));
  const at::Tensor sums =
      at::empty({parts, product.rows(), out}, product.x.options());
  const float* const x = product.x.data_ptr<float>();
  const void* const weight = product.weight.data_ptr();
  float* const to = sums.data_ptr<float>();
  at::parallel_for(0, parts, 1, [&](int64_t first, int64_t last) {
    for (int64_t part = first; part < last; ++part) {
      Times(x, product.rows(), in, weight, product.dtype, out,
            in * part / parts, in * (part + 1) / parts,
            to + part * product.rows() * out);
    }
  });
  const at::Tensor y =
      at::empty({product.rows(), out}, product.weight.options());
  const int64_t grain =
      std::max<int64_t>(1, kNumbersOfThread / (parts * product.rows()));
  at::parallel_for(0, out, grain, [&](int64_t begin, int64_t end) {
    Finish(product, to, parts, begin, end, y);
  });
  return y;
}

// x as float32 rows, without a copy where it is that.
at::Tensor FloatRows(const at::Tensor& x, int64_t in) {
  if (x.scalar_type() == at::kFloat && x.dim() == 2 && x.is_contiguous()) {
    return x;
  }
  return x.reshape({-1, in}).to(at::kFloat).contiguous();
}

at::Tensor WithSizesOf(const at::Tensor& x, const at::Tensor& y) {
  std::vector<int64_t> sizes = x.sizes().vec();
  sizes.back() = y.size(1);
  return y.view(sizes);
}

}  // namespace

std::optional<at::Tensor> LinearOfFewRows(const at::Tensor& x,
                                          const at::Tensor& weight,
                                          const at::Tensor& bias,
                                          WeightLayout layout) {
  if (x.dim() < 1 || !x.is_cpu() || !weight.is_cpu() || weight.dim() != 2 ||
      weight.numel() < kLeastNumbers || !weight.is_contiguous() ||
      x.scalar_type() != weight.scalar_type() || !Fits(bias, weight)) {
    return std::nullopt;
  }
  const bool out_first = layout == WeightLayout::kOutIn;
  const int64_t in = weight.size(out_first ? 1 : 0);
  if (x.size(-1) != in || x.numel() == 0 || x.numel() / in > kFewRows ||
      WantsGradient(x, weight, bias)) {
    return std::nullopt;
  }
  const std::optional<MatrixDtype> dtype = KernelDtype(weight.scalar_type());
  if (!dtype.has_value()) return std::nullopt;
  // Seen as one operator by whoever listens to LibTorch's (exact_flops.h).
  RECORD_FUNCTION("pretrained::few_row_linear",
                  (std::vector<c10::IValue>{x, weight, bias}));
  const at::Tensor rows = FloatRows(x, in);
  const Product product{
      .x = rows, .weight = weight, .bias = bias, .dtype = *dtype};
  return WithSizesOf(x, out_first ? ByColumns(product) : ByParts(product));
}

}  // namespace pretrained
