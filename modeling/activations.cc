#include "modeling/activations.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "ATen/Parallel.h"
#include "ATen/core/ivalue.h"
#include "ATen/record_function.h"
#include "absl/strings/string_view.h"
#include "modeling/few_row_kernels.h"
#include "modeling/kernel_dtype.h"
#include "modeling/wants_gradient.h"

namespace pretrained {
namespace {

using at::Tensor;

// GeluNew() in one pass, rounded once; nullopt where there is no kernel.
std::optional<Tensor> GeluNewInOnePass(const Tensor& x) {
  const std::optional<MatrixDtype> dtype = KernelDtype(x.scalar_type());
  if (!dtype.has_value() || !x.is_cpu() || !x.is_contiguous() ||
      WantsGradient(x)) {
    return std::nullopt;
  }
  // As the operator that it stands for, to whoever listens (exact_flops.h).
  RECORD_FUNCTION("pretrained::gelu",
                  (std::vector<c10::IValue>{x, std::string("tanh")}));
  const Tensor y = at::empty(x.sizes(), x.options());
  const auto* const from = static_cast<const char*>(x.data_ptr());
  auto* const to = static_cast<char*>(y.data_ptr());
  const int64_t size = x.element_size();
  // In whole vectors, so that a number's place in x makes no difference.
  constexpr int64_t kBlock = 1 << 13;
  const int64_t blocks = (x.numel() + kBlock - 1) / kBlock;
  at::parallel_for(0, blocks, 2, [&](int64_t begin, int64_t end) {
    const int64_t first = begin * kBlock;
    const int64_t last = std::min(end * kBlock, x.numel());
    GeluTanh(from + first * size, *dtype, last - first, to + first * size);
  });
  return y;
}

// The tanh approximation of GELU, operation by operation as the BERT and GPT
// code bases write it; at::gelu(x, "tanh") rounds differently.
Tensor GeluNew(const Tensor& x) {
  if (std::optional<Tensor> y = GeluNewInOnePass(x)) return *std::move(y);
  const double scale = std::sqrt(2.0 / M_PI);
  return 0.5 * x * (1.0 + at::tanh(scale * (x + 0.044715 * at::pow(x, 3.0))));
}

Tensor GeluFast(const Tensor& x) {
  return 0.5 * x *
         (1.0 + at::tanh(x * 0.7978845608 * (1.0 + 0.044715 * x * x)));
}

Tensor GeluPython(const Tensor& x) {
  return x * 0.5 * (1.0 + at::erf(x / std::sqrt(2.0)));
}

Tensor Laplace(const Tensor& x) {
  constexpr double kMu = 0.707107;
  constexpr double kSigma = 0.282095;
  return 0.5 * (1.0 + at::erf((x - kMu).div(kSigma * std::sqrt(2.0))));
}

constexpr std::pair<absl::string_view, ActivationFunction> kFunctions[] = {
    {"gelu", [](const Tensor& x) { return at::gelu(x); }},
    {"gelu_10",
     [](const Tensor& x) { return at::clamp(at::gelu(x), -10, 10); }},
    {"gelu_accurate", GeluNew},
    {"gelu_fast", GeluFast},
    {"gelu_new", GeluNew},
    {"gelu_python", GeluPython},
    {"gelu_pytorch_tanh", [](const Tensor& x) { return at::gelu(x, "tanh"); }},
    {"laplace", Laplace},
    {"linear", [](const Tensor& x) { return x; }},
    {"mish", [](const Tensor& x) { return at::mish(x); }},
    {"quick_gelu", [](const Tensor& x) { return x * at::sigmoid(1.702 * x); }},
    {"relu", [](const Tensor& x) { return at::relu(x); }},
    {"relu2", [](const Tensor& x) { return at::square(at::relu(x)); }},
    {"relu6", [](const Tensor& x) { return at::clamp(x, 0, 6); }},
    {"sigmoid", [](const Tensor& x) { return at::sigmoid(x); }},
    {"silu", [](const Tensor& x) { return at::silu(x); }},
    {"swish", [](const Tensor& x) { return at::silu(x); }},
    {"tanh", [](const Tensor& x) { return at::tanh(x); }},
};

}  // namespace

ActivationFunction GetActivation(absl::string_view name) {
  for (const auto& [known, function] : kFunctions) {
    if (known == name) return function;
  }
  return nullptr;
}

}  // namespace pretrained
