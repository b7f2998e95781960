// Products of few rows with the matrices of GPT-2 and LLaMA 1.1B, as one token
// more costs them, in bytes of weights a second; and beside them a plain read
// of as many bytes, which is what they cannot be faster than. Weights are as
// many as no cache holds, and take turns.
//
// Threads are LibTorch's: as many as OMP_NUM_THREADS says.

#include <cstdint>
#include <string>
#include <vector>

#include "ATen/ATen.h"
#include "ATen/Parallel.h"
#include "benchmark/benchmark.h"
#include "c10/core/InferenceMode.h"
#include "modeling/few_row_linear.h"
#include "modeling/half_linear.h"

namespace pretrained {
namespace {

constexpr int64_t kBytes = int64_t{192} << 20;

std::vector<at::Tensor> Weights(int64_t in, int64_t out, WeightLayout layout,
                                at::ScalarType type) {
  const int64_t bytes = in * out * c10::elementSize(type);
  std::vector<at::Tensor> weights;
  for (int64_t i = 0; i < (kBytes + bytes - 1) / bytes; ++i) {
    weights.push_back(layout == WeightLayout::kOutIn
                          ? at::full({out, in}, 0.01, at::dtype(type))
                          : at::full({in, out}, 0.01, at::dtype(type)));
  }
  return weights;
}

void BM_Linear(benchmark::State& state, WeightLayout layout,
               at::ScalarType type) {
  c10::InferenceMode no_gradients;
  const int64_t rows = state.range(0);
  const int64_t in = state.range(1);
  const int64_t out = state.range(2);
  const std::vector<at::Tensor> weights = Weights(in, out, layout, type);
  const at::Tensor x = at::ones({rows, in}, at::dtype(type));
  const at::Tensor bias = at::ones({out}, at::dtype(type));
  size_t turn = 0;
  for (auto _ : state) {
    const at::Tensor& weight = weights[turn++ % weights.size()];
    auto y = LinearOfFewRows(x, weight, bias, layout);
    if (!y.has_value()) y = LinearOfHalf(x, weight, bias, layout);
    if (!y.has_value()) {
      const bool out_first = layout == WeightLayout::kOutIn;
      y = at::addmm(bias, x, out_first ? weight.t() : weight);
    }
    benchmark::DoNotOptimize(y);
  }
  state.SetBytesProcessed(state.iterations() * weights[0].nbytes());
}

// The same bytes, added up as 64-bit numbers.
void BM_Read(benchmark::State& state) {
  const std::vector<at::Tensor> weights =
      Weights(state.range(0), state.range(1), WeightLayout::kOutIn, at::kFloat);
  size_t turn = 0;
  for (auto _ : state) {
    const at::Tensor& weight = weights[turn++ % weights.size()];
    const auto* const numbers = static_cast<const uint64_t*>(weight.data_ptr());
    at::parallel_for(0, weight.nbytes() / 64, 1 << 12,
                     [&](int64_t begin, int64_t end) {
                       uint64_t sums[8] = {};
                       for (int64_t i = begin; i < end; ++i) {
                         for (int n = 0; n < 8; ++n)
                           sums[n] += numbers[8 * i + n];
                       }
                       benchmark::DoNotOptimize(sums);
                     });
  }
  state.SetBytesProcessed(state.iterations() * weights[0].nbytes());
}
BENCHMARK(BM_Read)
    ->ArgNames({"in", "out"})
    ->Args({768, 3072})
    ->Args({2048, 5632})
    ->UseRealTime();

void Sizes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"rows", "in", "out"})->UseRealTime();
  for (const int64_t rows : {1, 4, 32}) {
    benchmark->Args({rows, 768, 768});
    benchmark->Args({rows, 768, 3072});
    benchmark->Args({rows, 2048, 5632});
  }
}

#define PRETRAINED_BENCHMARK(layout, type)                            \
  BENCHMARK_CAPTURE(BM_Linear, layout##_##type, WeightLayout::layout, \
                    at::type)                                         \
      ->Apply(Sizes)

PRETRAINED_BENCHMARK(kOutIn, kFloat);
PRETRAINED_BENCHMARK(kInOut, kFloat);
PRETRAINED_BENCHMARK(kOutIn, kBFloat16);
PRETRAINED_BENCHMARK(kInOut, kBFloat16);
PRETRAINED_BENCHMARK(kOutIn, kHalf);
PRETRAINED_BENCHMARK(kInOut, kHalf);

#undef PRETRAINED_BENCHMARK

}  // namespace
}  // namespace pretrained
