// Writing a state dict to a file, synced, in each format.

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "benchmark/benchmark.h"
#include "checkpoint/safetensors_testutil.h"
#include "checkpoint/safetensors_writer.h"
#include "checkpoint/tensor_to_write.h"
#include "checkpoint/torch/torch_legacy_writer.h"
#include "checkpoint/torch/torch_zip_writer.h"
#include "dtypes/dtype.h"

namespace pretrained {
namespace {

using WriteFunction = absl::Status (*)(const std::string& path,
                                       absl::Span<const TensorToWrite>);

absl::Status WriteSafetensorsFile(const std::string& path,
                                  absl::Span<const TensorToWrite> tensors) {
  return WriteSafetensors(path, tensors, {{"format", "pt"}});
}

void Write(benchmark::State& state, WriteFunction write,
           const std::vector<TensorToWrite>& tensors, int64_t bytes) {
  const std::string path =
      checkpoint_testing::MakeTestFolder("torch_zip_writer_benchmark") +
      "/written";
  for (auto _ : state) {
    const absl::Status status = write(path, tensors);
    if (!status.ok()) state.SkipWithError(status.ToString().c_str());
  }
  state.SetBytesProcessed(state.iterations() * bytes);
  state.SetItemsProcessed(state.iterations() *
                          static_cast<int64_t>(tensors.size()));
}

// Tensors of 4096 x 4096 bfloat16, 33.6 MB, as in a Llama 7B; so many MB in
// all.
void BM_WriteLarge(benchmark::State& state, WriteFunction write) {
  const int64_t tensor_bytes = int64_t{4096} * 4096 * 2;
  const int64_t count =
      (state.range(0) * 1'000'000 + tensor_bytes - 1) / tensor_bytes;
  const std::string bytes(tensor_bytes, 'x');
  std::vector<TensorToWrite> tensors;
  for (int64_t i = 0; i < count; ++i) {
    tensors.push_back({absl::StrCat("layers.", i, ".self_attn.q_proj.weight"),
                       Dtype::kBfloat16,
                       {4096, 4096},
                       bytes.data()});
  }
  Write(state, write, tensors, count * tensor_bytes);
}

// Many small ones: what a tensor costs beyond its bytes.
void BM_WriteMany(benchmark::State& state, WriteFunction write) {
  const std::string bytes(64, 'x');
  std::vector<TensorToWrite> tensors;
  for (int64_t i = 0; i < state.range(0); ++i) {
    tensors.push_back({absl::StrCat("experts.", i, ".bias"),
                       Dtype::kFloat32,
                       {16},
                       bytes.data()});
  }
  Write(state, write, tensors, state.range(0) * 64);
}

BENCHMARK_CAPTURE(BM_WriteLarge, torch_zip, &WriteTorchZip)
    ->UseRealTime()
    ->ArgName("MB")
    ->Arg(60);
BENCHMARK_CAPTURE(BM_WriteLarge, torch_legacy, &WriteTorchLegacy)
    ->UseRealTime()
    ->ArgName("MB")
    ->Arg(60);
BENCHMARK_CAPTURE(BM_WriteLarge, safetensors, &WriteSafetensorsFile)
    ->UseRealTime()
    ->ArgName("MB")
    ->Arg(60);

BENCHMARK_CAPTURE(BM_WriteMany, torch_zip, &WriteTorchZip)
    ->UseRealTime()
    ->ArgName("tensors")
    ->Arg(1'000);
BENCHMARK_CAPTURE(BM_WriteMany, torch_legacy, &WriteTorchLegacy)
    ->UseRealTime()
    ->ArgName("tensors")
    ->Arg(1'000);
BENCHMARK_CAPTURE(BM_WriteMany, safetensors, &WriteSafetensorsFile)
    ->UseRealTime()
    ->ArgName("tensors")
    ->Arg(1'000);

}  // namespace
}  // namespace pretrained
