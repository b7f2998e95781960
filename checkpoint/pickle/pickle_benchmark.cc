// What it costs to read the pickle of a checkpoint, and to find its tensors.

#include <cstdint>
#include <string>

#include "benchmark/benchmark.h"
#include "checkpoint/pickle/pickle.h"
#include "checkpoint/pickle/pickle_testutil.h"
#include "checkpoint/torch/torch_objects.h"

namespace pretrained {
namespace {

using checkpoint_testing::StateDictPickle;

// `n` F32 vectors as torch.save pickles them: MiniLM has 103 tensors, Mixtral
// 8x7B 995; 100,000 is more than anybody has published.
void BM_Parse(benchmark::State& state) {
  const std::string bytes = StateDictPickle(state.range(0));
  int64_t memory_bytes = 0;
  for (auto _ : state) {
    auto pickle = Pickle::Parse(bytes);
    if (!pickle.ok()) {
      state.SkipWithError("Parse failed");
      break;
    }
    memory_bytes = pickle->memory_bytes();
    benchmark::DoNotOptimize(pickle);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.SetBytesProcessed(state.iterations() *
                          static_cast<int64_t>(bytes.size()));
  state.counters["memory/byte"] =
      static_cast<double>(memory_bytes) / static_cast<double>(bytes.size());
}
BENCHMARK(BM_Parse)
    ->ArgName("tensors")
    ->Arg(150)
    ->Arg(1'000)
    ->Arg(100'000)
    ->Unit(benchmark::kMicrosecond);

// The same, through to the list of tensors with every range checked.
void BM_ReadTorchObjects(benchmark::State& state) {
  const std::string bytes = StateDictPickle(state.range(0));
  for (auto _ : state) {
    auto pickle = Pickle::Parse(bytes);
    if (!pickle.ok()) {
      state.SkipWithError("Parse failed");
      break;
    }
    auto objects = ReadTorchObjects(*pickle, "bench");
    if (!objects.ok()) state.SkipWithError("ReadTorchObjects failed");
    benchmark::DoNotOptimize(objects);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_ReadTorchObjects)
    ->ArgName("tensors")
    ->Arg(150)
    ->Arg(1'000)
    ->Arg(100'000)
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace pretrained
