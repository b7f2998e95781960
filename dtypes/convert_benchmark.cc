// Convert() beside memcpy and beside LibTorch's `.to()`, one thread each.
//
// bytes_per_second counts bytes read and bytes written. memcpy moves as many
// bytes in all as the pair of formats in the same row, so its rate is the one
// to compare with. Outputs are allocated and touched beforehand, for all three.
// Rates are per second of CPU time: nothing here waits or has a second thread.

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/core/ScalarType.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "benchmark/benchmark.h"
#include "dtypes/convert.h"
#include "dtypes/dtype.h"

namespace pretrained {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

struct Format {
  Dtype dtype;
  at::ScalarType scalar_type;
};
constexpr Format kE4M3FN = {Dtype::kFloat8E4M3FN, at::kFloat8_e4m3fn};
constexpr Format kE5M2 = {Dtype::kFloat8E5M2, at::kFloat8_e5m2};
constexpr Format kF16 = {Dtype::kFloat16, at::kHalf};
constexpr Format kBF16 = {Dtype::kBfloat16, at::kBFloat16};
constexpr Format kF32 = {Dtype::kFloat32, at::kFloat};
constexpr Format kF64 = {Dtype::kFloat64, at::kDouble};

struct Pair {
  Format from;
  Format to;
};
// The usual ones first.
constexpr Pair kPairs[] = {
    {kBF16, kF32}, {kF16, kF32},     {kF32, kBF16},    {kF32, kF16},
    {kF16, kBF16}, {kBF16, kF16},    {kF32, kF64},     {kF64, kF32},
    {kBF16, kF64}, {kE4M3FN, kF16},  {kE4M3FN, kBF16}, {kE4M3FN, kF32},
    {kE5M2, kF16}, {kE5M2, kBF16},   {kE5M2, kF32},    {kF32, kE4M3FN},
    {kF32, kE5M2}, {kBF16, kE4M3FN}, {kBF16, kE5M2},   {kF16, kE4M3FN},
    {kF16, kE5M2},
};

// Numbers such as weights are: normal, of standard deviation 0.02.
at::Tensor Weights(int64_t count, Format format) {
  const at::Tensor weights =
      at::empty({count}, at::TensorOptions().dtype(format.scalar_type));
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 0.02f);
  std::vector<float> some(65'536);
  for (float& weight : some) weight = normal(random);
  auto* out = static_cast<uint8_t*>(weights.mutable_data_ptr());
  for (int64_t i = 0; i < count; i += some.size()) {
    const int64_t n = std::min<int64_t>(some.size(), count - i);
    (void)Convert(Dtype::kFloat32, some.data(), format.dtype,
                  out + i * DtypeSize(format.dtype), n);
  }
  return weights;
}

// `total_bytes` of input and output together.
struct Workload {
  Workload(Pair pair, int64_t total_bytes)
      : count(total_bytes /
              (DtypeSize(pair.from.dtype) + DtypeSize(pair.to.dtype))),
        src(Weights(count, pair.from)),
        dst(at::empty({count},
                      at::TensorOptions().dtype(pair.to.scalar_type))) {
    std::memset(dst.mutable_data_ptr(), 0, dst.nbytes());
  }

  int64_t count;
  at::Tensor src;
  at::Tensor dst;
};

void BM_Convert(benchmark::State& state, Pair pair) {
  Workload work(pair, state.range(0));
  const void* src = work.src.const_data_ptr();
  void* dst = work.dst.mutable_data_ptr();
  for (auto _ : state) {
    if (!Convert(pair.from.dtype, src, pair.to.dtype, dst, work.count).ok()) {
      state.SkipWithError("Convert failed");
    }
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

void BM_LibTorch(benchmark::State& state, Pair pair) {
  at::set_num_threads(1);
  Workload work(pair, state.range(0));
  for (auto _ : state) {
    work.dst.copy_(work.src);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

void BM_Memcpy(benchmark::State& state) {
  std::vector<char> src(state.range(0) / 2, 1);
  std::vector<char> dst(state.range(0) / 2, 2);
  for (auto _ : state) {
    std::memcpy(dst.data(), src.data(), src.size());
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

// 192 KiB stay in a second-level cache; 1 GiB is more than any level holds. (A
// matrix of a 70B Llama's feed-forward block is 0.9 GiB in float32.)
void Sizes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgName("bytes")->Arg(192 << 10)->Arg(1024 * kMiB);
}

bool RegisterAll() {
  Sizes(benchmark::RegisterBenchmark("BM_Memcpy", BM_Memcpy));
  for (const Pair& pair : kPairs) {
    const std::string name = absl::StrCat(DtypeName(pair.from.dtype), "_to_",
                                          DtypeName(pair.to.dtype));
    Sizes(benchmark::RegisterBenchmark(
        absl::StrCat("BM_Convert/", name).c_str(), BM_Convert, pair));
    Sizes(benchmark::RegisterBenchmark(
        absl::StrCat("BM_LibTorch/", name).c_str(), BM_LibTorch, pair));
  }
  return true;
}
const bool kRegistered = RegisterAll();

}  // namespace
}  // namespace pretrained
