#include <cstdint>
#include <memory>

#include "ATen/ATen.h"
#include "absl/log/absl_check.h"
#include "absl/time/time.h"
#include "benchmark/benchmark.h"
#include "modeling/from_pretrained.h"
#include "modeling/llama/llama_config.h"
#include "modeling/llama/llama_model.h"
#include "modeling/model_output.h"
#include "modeling/offload/dispatch.h"
#include "modeling/offload/fake_weights_testutil.h"
#include "modeling/pretrained_config.h"
#include "modeling/pretrained_model.h"

namespace pretrained {
namespace {

std::shared_ptr<PretrainedModel> MakeModel(int64_t hidden_size) {
  PretrainedConfig config(LlamaConfigClass());
  config.Set("hidden_size", hidden_size);
  config.Set("intermediate_size", 4 * hidden_size);
  config.Set("num_attention_heads", 4);
  config.Set("num_key_value_heads", 4);
  config.Set("num_hidden_layers", 8);
  config.Set("vocab_size", 256);
  auto model = LlamaModel::FromConfig(config, {.seed = 1});
  ABSL_CHECK_OK(model.status());
  return *model;
}

// A step of one token of a model of 8 layers.
void Run(PretrainedModel& model, benchmark::State& state) {
  at::NoGradGuard no_grad;
  const NamedTensors inputs = {{"input_ids", at::ones({1, 1}, at::kLong)}};
  for (auto _ : state) {
    auto output = model.Call(inputs);
    if (!output.ok()) state.SkipWithError("the call failed");
    benchmark::DoNotOptimize(output);
  }
}

// In memory, without hooks: what the next ones compare with.
void BM_NoHooks(benchmark::State& state) {
  Run(*MakeModel(state.range(0)), state);
}
BENCHMARK(BM_NoHooks)->ArgName("hidden_size")->Arg(32)->Arg(512);

// Hooks around every module, of which the last one alone is offloaded.
void BM_HooksOfOneOffloaded(benchmark::State& state) {
  const auto model = MakeModel(state.range(0));
  const auto weights = std::make_shared<FakeWeights>(model->state_dict());
  ABSL_CHECK_OK(
      DispatchModel(*model, {{"", "cpu"}, {"norm", "disk"}}, weights));
  Run(*model, state);
}
BENCHMARK(BM_HooksOfOneOffloaded)->ArgName("hidden_size")->Arg(32)->Arg(512);

// Everything offloaded: each weight takes `get_us` to come, ahead of its use
// (`ahead` 1) or not.
void BM_EverythingOffloaded(benchmark::State& state) {
  const auto model = MakeModel(512);
  const auto weights = std::make_shared<FakeWeights>(model->state_dict());
  weights->delay = absl::Microseconds(state.range(0));
  DispatchOptions options;
  if (state.range(1) == 0) options.prefetch_bytes = 0;
  ABSL_CHECK_OK(DispatchModel(*model, {{"", "disk"}}, weights, options));
  Run(*model, state);
}
BENCHMARK(BM_EverythingOffloaded)
    ->ArgNames({"get_us", "ahead"})
    ->ArgsProduct({{0, 200}, {0, 1}})
    ->UseRealTime();

}  // namespace
}  // namespace pretrained
