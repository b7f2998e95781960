#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "benchmark/benchmark.h"
#include "checkpoint/safetensors_testutil.h"
#include "checkpoint/safetensors_writer.h"
#include "checkpoint/tensor_to_write.h"
#include "dtypes/dtype.h"

namespace pretrained {
namespace {

using checkpoint_testing::ManyTensors;
using checkpoint_testing::MiniLmTensors;
using checkpoint_testing::TestTensor;

// All from the same bytes, as many as the largest needs.
std::vector<TensorToWrite> ToWrite(const std::vector<TestTensor>& described,
                                   std::string& bytes, int64_t& total) {
  int64_t largest = 0;
  total = 0;
  for (const TestTensor& tensor : described) {
    largest = std::max(largest, tensor.nbytes);
    total += tensor.nbytes;
  }
  bytes.assign(largest, 'x');
  std::vector<TensorToWrite> tensors;
  for (const TestTensor& tensor : described) {
    tensors.push_back({tensor.name, *DtypeFromSafetensors(tensor.dtype),
                       tensor.shape, bytes.data()});
  }
  return tensors;
}

// The header of many tensors: a 70B Llama has 723, Mixtral 8x7B 995.
void BM_Header(benchmark::State& state) {
  std::string bytes;
  int64_t total = 0;
  const std::vector<TensorToWrite> tensors =
      ToWrite(ManyTensors(state.range(0)), bytes, total);
  for (auto _ : state) {
    absl::StatusOr<std::string> header =
        SafetensorsHeaderBytes(tensors, {{"format", "pt"}}, nullptr);
    if (!header.ok()) state.SkipWithError("no header");
    benchmark::DoNotOptimize(header);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_Header)->ArgName("tensors")->Arg(150)->Arg(1'000)->Arg(100'000);

// all-MiniLM-L6-v2, 91 MB, into a new file, synced.
void BM_WriteMiniLm(benchmark::State& state) {
  const std::string path =
      checkpoint_testing::MakeTestFolder("safetensors_writer_benchmark") +
      "/written.safetensors";
  std::string bytes;
  int64_t total = 0;
  const std::vector<TensorToWrite> tensors =
      ToWrite(MiniLmTensors(), bytes, total);
  for (auto _ : state) {
    const absl::Status status =
        WriteSafetensors(path, tensors, {{"format", "pt"}});
    if (!status.ok()) state.SkipWithError(status.ToString().c_str());
  }
  state.SetBytesProcessed(state.iterations() * total);
}
BENCHMARK(BM_WriteMiniLm)->UseRealTime();

}  // namespace
}  // namespace pretrained
