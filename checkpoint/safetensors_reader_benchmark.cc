// What it costs to find tensors, and to have one's hands on them.

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "benchmark/benchmark.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/safetensors_checkpoint.h"
#include "checkpoint/safetensors_reader.h"
#include "checkpoint/safetensors_testutil.h"

namespace pretrained {
namespace {

using checkpoint_testing::ManyTensors;
using checkpoint_testing::MiniLmTensors;
using checkpoint_testing::SafetensorsFileWith;
using checkpoint_testing::WriteTestFile;

// `n` F32 vectors: a 70B Llama has 723 tensors, Mixtral 8x7B 995; 100,000 is
// more than anybody has published.
void BM_Parse(benchmark::State& state) {
  const std::string file = SafetensorsFileWith(ManyTensors(state.range(0)));
  for (auto _ : state) {
    auto reader = SafetensorsReader::Parse(
        file, static_cast<int64_t>(file.size()), "bench");
    if (!reader.ok()) state.SkipWithError("Parse failed");
    benchmark::DoNotOptimize(reader);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_Parse)
    ->ArgName("tensors")
    ->Arg(150)
    ->Arg(1'000)
    ->Arg(100'000)
    ->Unit(benchmark::kMicrosecond);

// As BM_Parse, from a file in the page cache: what `safe_open` does in Python.
void BM_Open(benchmark::State& state) {
  const std::string path = WriteTestFile(
      "open.safetensors", SafetensorsFileWith(ManyTensors(state.range(0))));
  for (auto _ : state) {
    auto reader = SafetensorsReader::Open(path);
    if (!reader.ok()) state.SkipWithError("Open failed");
    benchmark::DoNotOptimize(reader);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_Open)->ArgName("tensors")->Arg(1'000)->Arg(100'000)->Unit(
    benchmark::kMicrosecond);

// A file of the size and the tensors of all-MiniLM-L6-v2 (103, 91 MB): from its
// path to a pointer to each. No page of the data is touched.
void BM_OpenAndView(benchmark::State& state) {
  const std::string path =
      WriteTestFile("minilm.safetensors", SafetensorsFileWith(MiniLmTensors()));
  for (auto _ : state) {
    auto checkpoint = SafetensorsCheckpoint::Open({path});
    if (!checkpoint.ok()) {
      state.SkipWithError("Open failed");
      break;
    }
    for (const TensorInfo& tensor : (*checkpoint)->tensors()) {
      auto view = (*checkpoint)->View(tensor);
      if (!view.ok()) state.SkipWithError("View failed");
      benchmark::DoNotOptimize(view);
    }
  }
}
BENCHMARK(BM_OpenAndView)->Unit(benchmark::kMicrosecond);

// The same file read into memory, tensor by tensor: page cache to destination.
void BM_OpenAndRead(benchmark::State& state) {
  const std::string path =
      WriteTestFile("minilm.safetensors", SafetensorsFileWith(MiniLmTensors()));
  std::string destination(int64_t{30522} * 384 * 4, '\0');  // The largest one.
  int64_t bytes = 0;
  for (auto _ : state) {
    auto checkpoint = SafetensorsCheckpoint::Open({path});
    if (!checkpoint.ok()) {
      state.SkipWithError("Open failed");
      break;
    }
    for (const TensorInfo& tensor : (*checkpoint)->tensors()) {
      const absl::Status status =
          (*checkpoint)
              ->Read(tensor,
                     absl::MakeSpan(destination.data(), tensor.nbytes()));
      if (!status.ok()) state.SkipWithError("Read failed");
      bytes += tensor.nbytes();
    }
  }
  state.SetBytesProcessed(bytes);
}
BENCHMARK(BM_OpenAndRead)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace pretrained
