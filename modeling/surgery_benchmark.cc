// Resizing and pruning beside memcpy: each byte that stays is copied once.
// bytes_per_second counts bytes written.

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "ATen/ATen.h"
#include "absl/log/absl_check.h"
#include "absl/strings/string_view.h"
#include "benchmark/benchmark.h"
#include "device_map/module_tree.h"
#include "modeling/embedding_ops.h"
#include "modeling/head_pruning.h"
#include "modeling/layers.h"
#include "modeling/layout_nodes.h"
#include "modeling/module.h"

namespace pretrained {
namespace {

constexpr int64_t kColumns = 4096;  // LLaMA-7B's hidden size,
constexpr int64_t kHeadSize = 128;  // and heads.

// A vocabulary of 32,000 is LLaMA's; a matrix of attention is square.
void Rows(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgName("rows")->Arg(1024)->Arg(4096)->Arg(32000);
}

void SetBytes(benchmark::State& state, int64_t elements) {
  state.SetBytesProcessed(state.iterations() * elements * 4);
}

// As the tensors: freshly allocated memory each time.
void BM_Memcpy(benchmark::State& state) {
  const at::Tensor from = at::ones({state.range(0), kColumns});
  for (auto _ : state) {
    const at::Tensor to = at::empty_like(from);
    std::memcpy(to.mutable_data_ptr(), from.const_data_ptr(), from.nbytes());
    benchmark::ClobberMemory();
  }
  SetBytes(state, from.numel());
}
BENCHMARK(BM_Memcpy)->Apply(Rows);

// Of a tied vocabulary; added rows are not drawn, which is their own cost.
void BM_Resize(benchmark::State& state) {
  const ModuleNode node = EmbeddingNode("", state.range(0), kColumns);
  auto embedding =
      std::make_shared<Embedding>(node, ModuleOptions{.device = at::kCPU});
  ABSL_CHECK_OK(
      embedding->ReplaceTensor("weight", at::ones({state.range(0), kColumns})));
  for (auto _ : state) {
    auto resized = ResizedTensors(
        *embedding, {.input = ""}, state.range(0) + 64,
        [](const Module&, absl::string_view, const at::Tensor&) {});
    ABSL_CHECK_OK(resized.status());
    benchmark::DoNotOptimize(resized);
  }
  SetBytes(state, state.range(0) * kColumns);
}
BENCHMARK(BM_Resize)->Apply(Rows);

// Every third head goes: of queries, keys and values rows, of the output's
// projection columns.
void Prune(benchmark::State& state, int64_t dim) {
  const int64_t size = state.range(0);
  const at::Tensor weight =
      dim == 0 ? at::ones({size, kColumns}) : at::ones({kColumns, size});
  std::vector<int64_t> index;
  for (int64_t i = 0; i < size; ++i) {
    if (i / kHeadSize % 3 != 0) index.push_back(i);
  }
  for (auto _ : state) {
    auto pruned = CopyIndices(weight, dim, index);
    ABSL_CHECK_OK(pruned.status());
    benchmark::DoNotOptimize(pruned);
  }
  SetBytes(state, static_cast<int64_t>(index.size()) * kColumns);
}

void BM_PruneRows(benchmark::State& state) { Prune(state, 0); }
BENCHMARK(BM_PruneRows)->Apply(Rows);

void BM_PruneColumns(benchmark::State& state) { Prune(state, 1); }
BENCHMARK(BM_PruneColumns)->Apply(Rows);

// What the peer does: LibTorch's index_select.
void BM_IndexSelectColumns(benchmark::State& state) {
  const at::Tensor weight = at::ones({kColumns, state.range(0)});
  std::vector<int64_t> index;
  for (int64_t i = 0; i < state.range(0); ++i) {
    if (i / kHeadSize % 3 != 0) index.push_back(i);
  }
  const at::Tensor keep = at::tensor(index, at::dtype(at::kLong));
  for (auto _ : state) {
    benchmark::DoNotOptimize(weight.index_select(1, keep));
  }
  SetBytes(state, static_cast<int64_t>(index.size()) * kColumns);
}
BENCHMARK(BM_IndexSelectColumns)->Apply(Rows);

}  // namespace
}  // namespace pretrained
