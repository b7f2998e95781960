// What it costs to read the index of a sharded checkpoint, to write it, and to
// plan the shards.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/types/span.h"
#include "benchmark/benchmark.h"
#include "checkpoint/checkpoint_index.h"
#include "checkpoint/safetensors_testutil.h"
#include "checkpoint/shard_plan.h"
#include "dtypes/dtype.h"

namespace pretrained {
namespace {

using checkpoint_testing::ManyTensors;
using checkpoint_testing::TestTensor;

// `n` tensors over n / 100 shards: a 70B Llama has 723 tensors in 15 shards,
// Mixtral 8x7B 995 in 19; 100,000 is more than anybody has published.
CheckpointIndex IndexOf(int64_t n) {
  std::vector<std::pair<std::string, std::string>> weight_map;
  const int64_t shards = n / 100 + 1;
  for (const TestTensor& tensor : ManyTensors(n)) {
    const int64_t shard = static_cast<int64_t>(weight_map.size()) / 100 + 1;
    weight_map.emplace_back(
        tensor.name,
        absl::StrFormat("model-%05d-of-%05d.safetensors", shard, shards));
  }
  return *CheckpointIndex::Create(weight_map,
                                  R"({"total_size": 137953296384})");
}

void BM_Parse(benchmark::State& state) {
  const std::string text = IndexOf(state.range(0)).Serialize();
  for (auto _ : state) {
    auto index = CheckpointIndex::Parse(text, "bench");
    if (!index.ok()) state.SkipWithError("Parse failed");
    benchmark::DoNotOptimize(index);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.SetBytesProcessed(state.iterations() * text.size());
}
BENCHMARK(BM_Parse)
    ->ArgName("tensors")
    ->Arg(150)
    ->Arg(1'000)
    ->Arg(100'000)
    ->Unit(benchmark::kMicrosecond);

void BM_Serialize(benchmark::State& state) {
  const CheckpointIndex index = IndexOf(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(index.Serialize());
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_Serialize)
    ->ArgName("tensors")
    ->Arg(150)
    ->Arg(1'000)
    ->Arg(100'000)
    ->Unit(benchmark::kMicrosecond);

// The plan and its index.
void BM_PlanShards(benchmark::State& state) {
  std::vector<ShardedTensor> tensors;
  for (const TestTensor& tensor : ManyTensors(state.range(0))) {
    tensors.push_back({tensor.name, Dtype::kFloat32, 4});
  }
  for (auto _ : state) {
    auto plan =
        PlanShards(absl::MakeConstSpan(tensors), 1'600, "model.safetensors");
    if (!plan.ok()) state.SkipWithError("PlanShards failed");
    benchmark::DoNotOptimize(plan);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_PlanShards)
    ->ArgName("tensors")
    ->Arg(150)
    ->Arg(1'000)
    ->Arg(100'000)
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace pretrained
