// CopyStrided() beside memcpy of as many bytes. bytes_per_second counts bytes
// written.

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "benchmark/benchmark.h"
#include "checkpoint/torch/strided_copy.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

// One matrix of Llama-7B's attention is [4096, 4096].
constexpr int64_t kRows = 4096;
constexpr int64_t kBytes = kRows * kRows * 4;

void Run(benchmark::State& state, const std::vector<CopyDimension>& dimensions,
         int64_t element_bytes) {
  const std::string from(kBytes, 'x');
  std::string to(kBytes, '\0');
  int64_t elements = 1;
  for (const CopyDimension& d : dimensions) elements *= d.count;
  for (auto _ : state) {
    CopyStrided(from.data(), to.data(), element_bytes, dimensions);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * elements * element_bytes);
}

void BM_Memcpy(benchmark::State& state) {
  const std::string from(kBytes, 'x');
  std::string to(kBytes, '\0');
  for (auto _ : state) {
    std::memcpy(to.data(), from.data(), kBytes);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * kBytes);
}
BENCHMARK(BM_Memcpy);

// The transpose of a square matrix of 64 MiB.
void BM_Transpose(benchmark::State& state) {
  const int64_t element_bytes = state.range(0);
  const int64_t columns = kBytes / element_bytes / kRows;
  Run(state, GatherDimensions({columns, kRows}, {1, columns}), element_bytes);
}
BENCHMARK(BM_Transpose)->ArgName("element_bytes")->Arg(2)->Arg(4)->Arg(8);

// Heads brought in front of positions: [seq, heads, 64] to [heads, seq, 64].
void BM_PermuteHeads(benchmark::State& state) {
  Run(state, GatherDimensions({64, kRows, 64}, {64, 64 * 64, 1}), 4);
}
BENCHMARK(BM_PermuteHeads);

// Every second column.
void BM_EverySecondColumn(benchmark::State& state) {
  Run(state, GatherDimensions({kRows, kRows / 2}, {kRows, 2}), 4);
}
BENCHMARK(BM_EverySecondColumn);

}  // namespace
}  // namespace checkpoint_internal
}  // namespace pretrained
