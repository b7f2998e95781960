// Opening and listing: what an `inspect` waits for.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "benchmark/benchmark.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/safetensors_testutil.h"
#include "checkpoint/torch/read_testutil.h"
#include "checkpoint/torch/torch_checkpoint.h"
#include "checkpoint/torch/zip_directory.h"

namespace pretrained {
namespace {

using checkpoint_testing::MemoryFile;
using checkpoint_testing::TestLegacyStorage;
using checkpoint_testing::TestTorchZip;
using checkpoint_testing::TestView;
using checkpoint_testing::TorchLegacyFile;
using checkpoint_testing::TorchZipFile;
using checkpoint_testing::WriteTestFile;

// `n` vectors of `floats` floats named as a decoder's, each its own storage.
std::vector<TestView> Views(int64_t n, int64_t floats) {
  std::vector<TestView> views;
  for (int64_t i = 0; i < n; ++i) {
    views.push_back(
        {absl::StrCat("model.layers.", i / 10, ".mlp.gate_proj.", i),
         "FloatStorage",
         absl::StrCat(i),
         floats,
         0,
         {floats},
         {1}});
  }
  return views;
}

std::string Zip(int64_t n, int64_t floats) {
  std::vector<std::pair<std::string, std::string>> storages;
  for (int64_t i = 0; i < n; ++i) {
    storages.push_back({absl::StrCat(i), std::string(floats * 4, 'x')});
  }
  TestTorchZip options;
  options.archive.zip64 = true;  // As torch.save writes it.
  return TorchZipFile(Views(n, floats), storages, options);
}

void OpenAndList(benchmark::State& state, const std::string& path) {
  for (auto _ : state) {
    const auto checkpoint = TorchCheckpoint::Open({path});
    if (!checkpoint.ok()) {
      state.SkipWithError("Open failed");
      break;
    }
    int64_t bytes = 0;
    for (const TensorInfo& tensor : (*checkpoint)->tensors()) {
      bytes += tensor.nbytes();
    }
    benchmark::DoNotOptimize(bytes);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

// GPT-2 has 149 tensors, Mixtral 8x7B 995; nothing published has 10,000.
void BM_OpenZip(benchmark::State& state) {
  // 8 KiB each: every local header is a read of its own, as with real tensors.
  OpenAndList(state, WriteTestFile("zip.bin", Zip(state.range(0), 2048)));
}
BENCHMARK(BM_OpenZip)->ArgName("tensors")->Arg(150)->Arg(1'000)->Arg(10'000);

void BM_OpenLegacy(benchmark::State& state) {
  const int64_t n = state.range(0);
  std::vector<TestLegacyStorage> storages;
  for (int64_t i = 0; i < n; ++i) {
    storages.push_back({absl::StrCat(i), 2048, std::string(8192, 'x')});
  }
  OpenAndList(state, WriteTestFile("legacy.bin",
                                   TorchLegacyFile(Views(n, 2048), storages)));
}
BENCHMARK(BM_OpenLegacy)->ArgName("tensors")->Arg(150)->Arg(1'000)->Arg(10'000);

// The directory alone, of small records near each other, in memory.
void BM_ZipDirectory(benchmark::State& state) {
  const std::string file = Zip(state.range(0), 4);
  for (auto _ : state) {
    const auto zip = checkpoint_internal::ZipDirectory::Read(
        MemoryFile{file}, static_cast<int64_t>(file.size()), "bench");
    if (!zip.ok()) {
      state.SkipWithError("Read failed");
      break;
    }
    benchmark::DoNotOptimize(zip->records().data());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_ZipDirectory)->ArgName("records")->Arg(1'000)->Arg(100'000);

}  // namespace
}  // namespace pretrained
