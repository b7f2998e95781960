// Masks beside the plain LibTorch expressions of them: what a program would
// write that has no such library. BERT-base reads 8 texts of 512 tokens;
// LLaMA's prompt has 2,048.

#include <cstdint>
#include <limits>

#include "ATen/ATen.h"
#include "absl/status/statusor.h"
#include "benchmark/benchmark.h"
#include "c10/core/InferenceMode.h"
#include "modeling/attention_mask.h"
#include "modeling/causal_mask.h"

namespace pretrained {
namespace {

constexpr double kLowest = std::numeric_limits<float>::lowest();

// Ones, but for the last few tokens of each row.
at::Tensor Mask(int64_t batch, int64_t tokens) {
  at::Tensor mask = at::ones({batch, tokens}, at::dtype(at::kLong));
  mask.narrow(1, tokens - tokens / 8, tokens / 8).zero_();
  return mask;
}

// Runs `make`, which gives a tensor or a StatusOr, and counts its bytes.
template <typename Make>
void Measure(benchmark::State& state, Make make) {
  c10::InferenceMode no_gradients;
  const at::Tensor mask = Mask(state.range(0), state.range(1));
  int64_t bytes = 0;
  for (auto _ : state) {
    const absl::StatusOr<at::Tensor> made = make(mask);
    if (!made.ok()) {
      state.SkipWithError("refused");
      return;
    }
    bytes = made->nbytes();
    benchmark::DoNotOptimize(made->const_data_ptr());
  }
  state.SetBytesProcessed(state.iterations() * bytes);
}

void BM_Padding(benchmark::State& state) {
  Measure(state, [](const at::Tensor& mask) {
    return ExtendedAttentionMask(mask, {});
  });
}

void BM_PaddingInLibTorch(benchmark::State& state) {
  Measure(state, [](const at::Tensor& mask) -> absl::StatusOr<at::Tensor> {
    return (1.0 - mask.unsqueeze(1).unsqueeze(1).to(at::kFloat)) * kLowest;
  });
}

void BM_Decoder(benchmark::State& state) {
  Measure(state, [](const at::Tensor& mask) {
    return ExtendedAttentionMask(
        mask, {.is_decoder = true, .query_length = mask.size(1)});
  });
}

void BM_DecoderInLibTorch(benchmark::State& state) {
  Measure(state, [](const at::Tensor& mask) -> absl::StatusOr<at::Tensor> {
    const at::Tensor ids = at::arange(mask.size(1), mask.options());
    const at::Tensor seen =
        (ids.unsqueeze(0) <= ids.unsqueeze(1)).to(at::kLong);
    const at::Tensor both = seen * mask.unsqueeze(1).unsqueeze(1);
    return (1.0 - both.to(at::kFloat)) * kLowest;
  });
}

void BM_Causal(benchmark::State& state) {
  Measure(state, [](const at::Tensor& mask) {
    return CausalBias(mask, {.query_length = mask.size(1)});
  });
}

void BM_CausalInLibTorch(benchmark::State& state) {
  Measure(state, [](const at::Tensor& mask) -> absl::StatusOr<at::Tensor> {
    const int64_t tokens = mask.size(1);
    const at::Tensor later =
        at::full({tokens, tokens}, kLowest, at::dtype(at::kFloat)).triu(1);
    return (1.0 - mask.unsqueeze(1).unsqueeze(1).to(at::kFloat)) * kLowest +
           later;
  });
}

void BM_SlidingWindow(benchmark::State& state) {
  Measure(state, [](const at::Tensor& mask) {
    return CausalBias(mask, {.query_length = mask.size(1), .window = 64});
  });
}

void BM_SlidingWindowInLibTorch(benchmark::State& state) {
  Measure(state, [](const at::Tensor& mask) -> absl::StatusOr<at::Tensor> {
    const int64_t tokens = mask.size(1);
    const at::Tensor band =
        at::ones({tokens, tokens}, at::dtype(at::kFloat)).tril().triu(-64);
    return (1.0 - mask.unsqueeze(1).unsqueeze(1).to(at::kFloat)) * kLowest +
           band.log();
  });
}

void BM_HeadMask(benchmark::State& state) {
  const at::Tensor mask = at::ones({state.range(0), state.range(1)});
  for (auto _ : state) {
    benchmark::DoNotOptimize(ExpandHeadMask(mask, state.range(0), at::kFloat));
  }
}

void BM_HeadMaskInLibTorch(benchmark::State& state) {
  const at::Tensor mask = at::ones({state.range(0), state.range(1)});
  for (auto _ : state) {
    const at::Tensor all =
        mask.unsqueeze(1).unsqueeze(-1).unsqueeze(-1).to(at::kFloat);
    benchmark::DoNotOptimize(all.unbind(0));
  }
}

#define SIZES ArgNames({"batch", "tokens"})->Args({8, 512})->Args({1, 2048})
BENCHMARK(BM_Padding)->SIZES;
BENCHMARK(BM_PaddingInLibTorch)->SIZES;
BENCHMARK(BM_Decoder)->SIZES;
BENCHMARK(BM_DecoderInLibTorch)->SIZES;
BENCHMARK(BM_Causal)->SIZES;
BENCHMARK(BM_CausalInLibTorch)->SIZES;
BENCHMARK(BM_SlidingWindow)->SIZES;
BENCHMARK(BM_SlidingWindowInLibTorch)->SIZES;
#undef SIZES
BENCHMARK(BM_HeadMask)->ArgNames({"layers", "heads"})->Args({12, 12});
BENCHMARK(BM_HeadMaskInLibTorch)->ArgNames({"layers", "heads"})->Args({12, 12});

}  // namespace
}  // namespace pretrained
