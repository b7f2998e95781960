// The forward of BERT-base: 12 layers, hidden size 768, 12 heads, 128 tokens,
// float32, random weights. benchmarks/forward_bert.py holds the peers beside.
//
// Threads are LibTorch's: as many as OMP_NUM_THREADS says, and the counter
// "intraop_threads" tells.

#include <cstdint>
#include <memory>

#include "ATen/Parallel.h"
#include "ATen/core/Tensor.h"
#include "ATen/ops/ones_like.h"
#include "ATen/ops/randint.h"
#include "absl/status/statusor.h"
#include "benchmark/benchmark.h"
#include "c10/core/InferenceMode.h"
#include "c10/core/ScalarType.h"
#include "modeling/bert/bert_config.h"
#include "modeling/bert/bert_model.h"
#include "modeling/pretrained_config.h"

namespace pretrained {
namespace {

constexpr int64_t kTokens = 128;

// Made once, for drawing its 110 million weights takes a second. A default
// config is BERT-base's.
BertModel* BertBase() {
  static const absl::StatusOr<std::shared_ptr<BertModel>> model =
      BertModel::FromConfig(PretrainedConfig(BertConfigClass()), {.seed = 1});
  return model.ok() ? model->get() : nullptr;
}

void BM_Forward(benchmark::State& state) {
  BertModel* const model = BertBase();
  if (model == nullptr) {
    state.SkipWithError("FromConfig failed");
    return;
  }
  c10::InferenceMode no_gradients;
  const at::Tensor ids =
      at::randint(1, model->bert_config().vocab_size, {state.range(0), kTokens},
                  at::TensorOptions(at::kLong));
  const BertModelInputs inputs = {.input_ids = ids,
                                  .attention_mask = at::ones_like(ids)};
  for (auto _ : state) {
    auto output = model->Forward(inputs);
    if (!output.ok()) {
      state.SkipWithError("Forward failed");
      break;
    }
    benchmark::DoNotOptimize(output);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0) * kTokens);
  state.counters["intraop_threads"] = at::get_num_threads();
}
BENCHMARK(BM_Forward)
    ->ArgName("batch")
    ->Arg(1)
    ->Arg(8)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace pretrained
