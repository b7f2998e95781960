#include "modeling/rotary.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <memory>
#include <utility>

#include "ATen/ATen.h"
#include "absl/synchronization/mutex.h"
#include "modeling/module.h"
#include "modeling/rotary_options.h"

namespace pretrained {
namespace {

using Scaling = RotaryOptions::Scaling;

// "NTK-aware" scaling: a larger base slows the slow pairs down by about the
// factor that the sequence is too long by, and the fast ones hardly.
double BaseFor(const RotaryOptions& options, int64_t longest) {
  if (options.scaling != Scaling::kDynamic ||
      longest <= options.max_positions) {
    return options.base;
  }
  const double dim = static_cast<double>(options.dim);
  const double growth = options.factor * static_cast<double>(longest) /
                            static_cast<double>(options.max_positions) -
                        (options.factor - 1.0);
  return options.base * std::pow(growth, dim / (dim - 2.0));
}

// Another tensor over the same memory, so that each slot has one of its own.
at::Tensor Alias(const at::Tensor& tensor) { return tensor.alias(); }

}  // namespace

at::Tensor RotaryFrequencies(const RotaryOptions& options, int64_t longest,
                             at::Device device) {
  // Steps and dtypes as the peer's: at position 2000 an angle shows the last
  // bit of its frequency.
  const at::Tensor exponents =
      at::arange(0, options.dim, 2, at::dtype(at::kLong).device(device))
          .to(at::kFloat) /
      options.dim;
  return at::pow(BaseFor(options, longest), exponents).reciprocal();
}

RotaryTables RotaryTablesAt(const RotaryOptions& options,
                            const at::Tensor& frequencies,
                            const at::Tensor& positions, at::ScalarType dtype) {
  at::Tensor steps = positions.to(at::kFloat);
  if (options.scaling == Scaling::kLinear) steps = steps / options.factor;
  const at::Tensor angles = steps.unsqueeze(-1) * frequencies.to(at::kFloat);
  const at::Tensor both = at::cat({angles, angles}, -1).unsqueeze(1);
  return {.cos = both.cos().to(dtype), .sin = both.sin().to(dtype)};
}

at::Tensor ApplyRotary(const at::Tensor& x, const RotaryTables& tables) {
  const int64_t dim = tables.cos.size(-1);
  const int64_t half = dim / 2;
  const int64_t rest = x.size(-1) - dim;
  const at::Tensor first = x.narrow(-1, 0, half);
  const at::Tensor second = x.narrow(-1, half, half);
  const at::Tensor cos = tables.cos.narrow(-1, 0, half);
  const at::Tensor sin = tables.sin.narrow(-1, 0, half);
  const at::Tensor turned_first = first * cos - second * sin;
  const at::Tensor turned_second = second * cos + first * sin;
  if (rest == 0) return at::cat({turned_first, turned_second}, -1);
  return at::cat({turned_first, turned_second, x.narrow(-1, dim, rest)}, -1);
}

int64_t RotaryState::NoteLength(int64_t length) {
  int64_t longest = longest_.load(std::memory_order_relaxed);
  while (longest < length && !longest_.compare_exchange_weak(
                                 longest, length, std::memory_order_relaxed)) {
  }
  return std::max(longest, length);
}

RotaryTables RotaryState::Tables(const RotaryOptions& options,
                                 at::ScalarType dtype, at::Device device) {
  absl::MutexLock lock(&mutex_);
  if (!tables_.cos.defined() || tables_.cos.scalar_type() != dtype ||
      tables_.cos.device() != device) {
    const at::Tensor positions =
        at::arange(options.max_positions, at::dtype(at::kLong).device(device));
    tables_ = RotaryTablesAt(options, RotaryFrequencies(options, 0, device),
                             positions.unsqueeze(0), dtype);
  }
  return {.cos = Alias(tables_.cos), .sin = Alias(tables_.sin)};
}

RotaryEmbedding::RotaryEmbedding(const ModuleNode& node,
                                 const ModuleOptions& options,
                                 const RotaryOptions& rotary,
                                 std::shared_ptr<RotaryState> state)
    : Module(node, options), rotary_(rotary), state_(std::move(state)) {
  if (!rotary_.stores_frequencies) return;
  // What is stored is read into float32, whatever the model's dtype is.
  const at::Tensor& frequencies = buffer("inv_freq");
  SetOwnTensor("inv_freq", at::empty(frequencies.sizes(),
                                     frequencies.options().dtype(at::kFloat)));
}

void RotaryEmbedding::ComputeBuffers(at::Device device) {
  if (rotary_.stores_frequencies) {
    // Of a model that was not loaded.
    if (!buffer("inv_freq").is_meta()) return;
    SetOwnTensor("inv_freq", RotaryFrequencies(rotary_, 0, device));
    return;
  }
  const at::ScalarType dtype = buffer("cos_cached").scalar_type();
  RotaryTables tables = state_->Tables(rotary_, dtype, device);
  SetOwnTensor("inv_freq", RotaryFrequencies(rotary_, 0, device));
  SetOwnTensor("cos_cached", std::move(tables.cos));
  SetOwnTensor("sin_cached", std::move(tables.sin));
}

RotaryTables RotaryEmbedding::ShortTables() const {
  if (rotary_.stores_frequencies) {
    return state_->Tables(rotary_, at::kFloat, buffer("inv_freq").device());
  }
  return {.cos = buffer("cos_cached"), .sin = buffer("sin_cached")};
}

RotaryTables RotaryEmbedding::At(const RotaryPositions& positions,
                                 at::ScalarType dtype) const {
  const RotaryTables tables = ShortTables();
  const at::Tensor& cos = tables.cos;
  if (rotary_.stores_frequencies) dtype = at::kFloat;
  const bool is_dynamic = rotary_.scaling == Scaling::kDynamic;
  const bool remembers = is_dynamic || rotary_.stores_frequencies;
  const int64_t longest =
      remembers ? state_->NoteLength(positions.length) : positions.length;
  const at::Tensor& ids = positions.ids;
  if (longest <= cos.size(2)) {
    const auto rows = [&](const at::Tensor& table) {
      if (!ids.defined()) {
        return table.narrow(2, positions.first, positions.count).to(dtype);
      }
      return at::embedding(table.select(0, 0).select(0, 0), ids)
          .unsqueeze(1)
          .to(dtype);
    };
    return {.cos = rows(cos), .sin = rows(tables.sin)};
  }
  const at::Device device = cos.device();
  const at::Tensor all =
      ids.defined()
          ? ids
          : at::arange(positions.first, positions.first + positions.count,
                       at::dtype(at::kLong).device(device))
                .unsqueeze(0);
  const at::Tensor frequencies =
      is_dynamic ? RotaryFrequencies(rotary_, longest, device)
                 : buffer("inv_freq");
  return RotaryTablesAt(rotary_, frequencies, all, dtype);
}

}  // namespace pretrained
