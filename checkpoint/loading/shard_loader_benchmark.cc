// What each engine costs, beside memcpy and a plain direct read of the same
// file: all-MiniLM-L6-v2's shapes (91 MB), or the checkpoint that the
// environment variable PRETRAINED_BENCHMARK_CHECKPOINT names.
//
// A cold file is one whose pages the kernel was asked to drop.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "benchmark/benchmark.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/loading/engine_choice.h"
#include "checkpoint/loading/file_source.h"
#include "checkpoint/loading/shard_loader.h"
#include "checkpoint/open_checkpoint.h"
#include "checkpoint/safetensors_testutil.h"
#include "dtypes/dtype.h"

namespace pretrained {
namespace {

using checkpoint_testing::MiniLmTensors;
using checkpoint_testing::SafetensorsFileWith;
using checkpoint_testing::WriteTestFile;

std::unique_ptr<Checkpoint> OpenStored() {
  static const std::string* const path = [] {
    const char* const named = std::getenv("PRETRAINED_BENCHMARK_CHECKPOINT");
    return new std::string(
        named != nullptr ? named
                         : WriteTestFile("shard_loader_benchmark.safetensors",
                                         SafetensorsFileWith(MiniLmTensors())));
  }();
  auto opened = OpenCheckpoint(*path);
  if (!opened.ok()) std::abort();
  return *std::move(opened);
}

// Only its files' names and sizes are asked for.
const Checkpoint& Stored() {
  static const Checkpoint* const checkpoint = OpenStored().release();
  return *checkpoint;
}

int64_t StoredBytes() {
  int64_t bytes = 0;
  for (const CheckpointFile& file : Stored().files()) bytes += file.size_bytes;
  return bytes;
}

void DropPages() {
  for (const CheckpointFile& file : Stored().files()) {
    const int fd = open(file.path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) std::abort();
    fsync(fd);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
  }
}

// Reads a byte of every page.
int64_t Touch(const std::vector<TensorView>& views) {
  int64_t sum = 0;
  for (const TensorView& view : views) {
    const char* const bytes = static_cast<const char*>(view.data);
    for (int64_t i = 0; i < view.nbytes; i += 4096) sum += bytes[i];
  }
  return sum;
}

void Load(benchmark::State& state, bool cold, Dtype dtype) {
  const auto engine = static_cast<ReadEngine>(state.range(0));
  state.SetLabel(std::string(ReadEngineName(engine)));
  for (auto _ : state) {
    state.PauseTiming();
    if (cold) DropPages();
    // Pages that someone maps are not dropped.
    const std::unique_ptr<Checkpoint> checkpoint = OpenStored();
    std::vector<TensorRequest> requests;
    for (const TensorInfo& tensor : checkpoint->tensors()) {
      requests.push_back({&tensor, tensor.dtype});
      if (IsFloatingPoint(tensor.dtype) && dtype != Dtype::kBool) {
        requests.back().dtype = dtype;
      }
    }
    state.ResumeTiming();
    auto views = LoadTensors(*checkpoint, requests, {.engine = engine});
    if (!views.ok()) {
      state.SkipWithError(views.status().ToString().c_str());
      return;
    }
    benchmark::DoNotOptimize(Touch(*views));
  }
  state.SetBytesProcessed(state.iterations() * StoredBytes());
}

// All engines but kWarmed, which is kMapped where the file is warm.
void BM_WarmTouched(benchmark::State& state) {
  Load(state, /*cold=*/false, Dtype::kBool);
}
BENCHMARK(BM_WarmTouched)
    ->ArgName("engine")
    ->Arg(static_cast<int>(ReadEngine::kMapped))
    ->Arg(static_cast<int>(ReadEngine::kBuffered))
    ->Arg(static_cast<int>(ReadEngine::kDirect))
    ->UseRealTime();

void BM_WarmToFloat64(benchmark::State& state) {
  Load(state, /*cold=*/false, Dtype::kFloat64);
}
BENCHMARK(BM_WarmToFloat64)
    ->ArgName("engine")
    ->Arg(static_cast<int>(ReadEngine::kBuffered))
    ->UseRealTime();

void BM_ColdTouched(benchmark::State& state) {
  Load(state, /*cold=*/true, Dtype::kBool);
}
BENCHMARK(BM_ColdTouched)
    ->ArgName("engine")
    ->DenseRange(0, static_cast<int>(ReadEngine::kStreaming))
    ->UseRealTime();

// What the disk gives: one direct read of 4 MiB after the other.
void BM_ColdPlainDirect(benchmark::State& state) {
  constexpr int64_t kBytes = int64_t{4} << 20;
  const std::unique_ptr<char, decltype(&std::free)> buffer(
      static_cast<char*>(std::aligned_alloc(kDirectAlignment, kBytes)),
      &std::free);
  for (auto _ : state) {
    for (const CheckpointFile& file : Stored().files()) {
      const int fd = open(file.path.c_str(), O_RDONLY | O_CLOEXEC);
      auto source = DirectSource(fd, file.path);
      close(fd);
      if (!source.ok()) {
        state.SkipWithError("no direct reads here");
        return;
      }
      for (int64_t at = 0; at < file.size_bytes; at += kBytes) {
        const absl::Status status = ReadRange(
            **source, at, std::min(at + kBytes, file.size_bytes), buffer.get());
        if (!status.ok()) state.SkipWithError("cannot read");
      }
    }
  }
  state.SetBytesProcessed(state.iterations() * StoredBytes());
}
BENCHMARK(BM_ColdPlainDirect)->UseRealTime();

void BM_Memcpy(benchmark::State& state) {
  const std::string from(StoredBytes(), 'x');
  std::string to(from.size(), '\0');
  for (auto _ : state) {
    std::memcpy(to.data(), from.data(), from.size());
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * StoredBytes());
}
BENCHMARK(BM_Memcpy)->UseRealTime();

}  // namespace
}  // namespace pretrained
