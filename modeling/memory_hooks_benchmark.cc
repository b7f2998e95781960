// A forward of a tiny BERT (2 layers, hidden size 32, 3 rows of 10 tokens):
// without hooks, with memory hooks, after they were taken away, and counting
// operations.

#include <cstdint>
#include <memory>

#include "ATen/ATen.h"
#include "absl/status/statusor.h"
#include "benchmark/benchmark.h"
#include "c10/core/InferenceMode.h"
#include "modeling/bert/bert_model.h"
#include "modeling/exact_flops.h"
#include "modeling/memory_hooks.h"
#include "modeling/model_output.h"

namespace pretrained {
namespace {

void Run(benchmark::State& state, BertModel& model) {
  c10::InferenceMode no_gradients;
  const NamedTensors inputs = {
      {"input_ids", at::full({3, 10}, 3, at::dtype(at::kLong))}};
  for (auto _ : state) {
    const absl::StatusOr<ModelOutput> output = model.Call(inputs);
    if (!output.ok()) {
      state.SkipWithError("Call failed");
      return;
    }
    benchmark::DoNotOptimize(output->fields.data());
  }
}

template <typename Body>
void WithModel(benchmark::State& state, Body body) {
  const absl::StatusOr<std::shared_ptr<BertModel>> model =
      BertModel::FromPretrained("testdata/models/BertModel");
  if (!model.ok()) {
    state.SkipWithError("FromPretrained failed");
    return;
  }
  body(**model);
}

void BM_NoHooks(benchmark::State& state) {
  WithModel(state, [&](BertModel& model) { Run(state, model); });
}
BENCHMARK(BM_NoHooks);

void BM_MemoryHooks(benchmark::State& state) {
  WithModel(state, [&](BertModel& model) {
    const MemoryHooks hooks(model);
    Run(state, model);
  });
}
BENCHMARK(BM_MemoryHooks);

void BM_MemoryHooksTakenAway(benchmark::State& state) {
  WithModel(state, [&](BertModel& model) {
    { const MemoryHooks hooks(model); }
    Run(state, model);
  });
}
BENCHMARK(BM_MemoryHooksTakenAway);

void BM_CountingOperations(benchmark::State& state) {
  WithModel(state, [&](BertModel& model) {
    const FlopCounter counter;
    Run(state, model);
  });
}
BENCHMARK(BM_CountingOperations);

void BM_ResidentBytes(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(ResidentBytes());
}
BENCHMARK(BM_ResidentBytes);

}  // namespace
}  // namespace pretrained
