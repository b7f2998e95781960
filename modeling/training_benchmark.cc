// A step of training, forward and backward, of a GPT-2 of 6 layers, hidden size
// 256, 256 tokens, dropout 0.1: as it is, with gradient checkpointing, and
// converted to BetterTransformer; and forward alone, by steps (attentions are
// asked for), as it is, and converted. "peak_MB" is the most that one step had
// at once beside the weights.
//
// Checkpointing is to cost about a third more time and a part of the memory.

#include <cstdint>
#include <memory>

#include "ATen/ATen.h"
#include "ATen/Parallel.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "benchmark/benchmark.h"
#include "modeling/gpt2/gpt2_config.h"
#include "modeling/gpt2/gpt2_model.h"
#include "modeling/model_output.h"
#include "modeling/pretrained_config.h"
#include "modeling/training_testutil.h"

namespace pretrained {
namespace {

constexpr int64_t kTokens = 256;

absl::StatusOr<std::shared_ptr<GPT2Model>> SmallGPT2() {
  PretrainedConfig config(GPT2ConfigClass());
  config.Set("vocab_size", 1000);
  config.Set("n_layer", 6);
  config.Set("n_embd", 256);
  config.Set("n_head", 8);
  return GPT2Model::FromConfig(config, {.seed = 1});
}

GPT2ModelInputs Inputs(int64_t batch) {
  return {.input_ids = at::randint(1, 1000, {batch, kTokens}, at::kLong)};
}

enum Way : int64_t { kPlain, kCheckpointed, kConverted, kBySteps };

// The model made ready for `way`; null, and the state told, where that failed.
std::shared_ptr<GPT2Model> Ready(benchmark::State& state, int64_t way) {
  absl::StatusOr<std::shared_ptr<GPT2Model>> model = SmallGPT2();
  absl::Status status = model.status();
  if (status.ok() && way == kCheckpointed) {
    status = (*model)->GradientCheckpointingEnable();
  }
  if (status.ok() && way == kConverted) {
    status = (*model)->ToBetterTransformer();
  }
  if (status.ok()) return *model;
  state.SkipWithError(status.ToString().c_str());
  return nullptr;
}

void BM_TrainingStep(benchmark::State& state) {
  std::shared_ptr<GPT2Model> model = Ready(state, state.range(0));
  if (model == nullptr) return;
  model->train();
  const GPT2ModelInputs inputs = Inputs(/*batch=*/4);
  int64_t peak = 0;
  for (auto _ : state) {
    const MemoryCounter memory;
    auto output = model->Forward(inputs, {.use_cache = false});
    if (!output.ok()) {
      state.SkipWithError("Forward failed");
      break;
    }
    output->last_hidden_state.sum().backward();
    peak = memory.peak_bytes();
    TakeGradients(*model);
  }
  state.counters["peak_MB"] = static_cast<double>(peak) / 1e6;
  state.counters["intraop_threads"] = at::get_num_threads();
}
BENCHMARK(BM_TrainingStep)
    ->ArgName("way")
    ->Arg(kPlain)
    ->Arg(kCheckpointed)
    ->Arg(kConverted)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

void BM_Forward(benchmark::State& state) {
  const int64_t way = state.range(0);
  std::shared_ptr<GPT2Model> model = Ready(state, way);
  if (model == nullptr) return;
  const at::NoGradGuard no_grad;
  const GPT2ModelInputs inputs = Inputs(/*batch=*/4);
  for (auto _ : state) {
    auto output = model->Forward(
        inputs, {.output_attentions = way == kBySteps, .use_cache = false});
    if (!output.ok()) {
      state.SkipWithError("Forward failed");
      break;
    }
    benchmark::DoNotOptimize(output);
  }
  state.counters["intraop_threads"] = at::get_num_threads();
}
BENCHMARK(BM_Forward)
    ->ArgName("way")
    ->Arg(kBySteps)
    ->Arg(kPlain)
    ->Arg(kConverted)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace pretrained
