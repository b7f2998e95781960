// Generation with random weights, greedy, from a prompt of 32 tokens: GPT-2 of
// 124 million parameters (its config's defaults) and LLaMA of 1.1 billion (22
// layers, hidden size 2048, 4 heads of keys), in float32 and bfloat16.
// benchmarks/generate.py holds the peers beside.
//
// Threads are LibTorch's: as many as OMP_NUM_THREADS says, and the counter
// "intraop_threads" tells.

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "ATen/Parallel.h"
#include "ATen/core/Tensor.h"
#include "ATen/ops/randint.h"
#include "absl/log/absl_check.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "benchmark/benchmark.h"
#include "generation/generate.h"
#include "modeling/from_pretrained.h"
#include "modeling/gpt2/gpt2_config.h"
#include "modeling/gpt2/gpt2_heads.h"
#include "modeling/llama/llama_config.h"
#include "modeling/llama/llama_model.h"
#include "modeling/pretrained_config.h"
#include "modeling/pretrained_model.h"

namespace pretrained {
namespace {

constexpr int64_t kPromptTokens = 32;

PretrainedConfig Llama(int64_t layers, int64_t hidden, int64_t intermediate,
                       int64_t heads, int64_t vocabulary) {
  PretrainedConfig config(LlamaConfigClass());
  config.Set("num_hidden_layers", layers);
  config.Set("hidden_size", hidden);
  config.Set("intermediate_size", intermediate);
  config.Set("num_attention_heads", heads);
  config.Set("num_key_value_heads", 4);
  config.Set("vocab_size", vocabulary);
  return config;
}

absl::StatusOr<std::shared_ptr<PretrainedModel>> Make(
    absl::string_view shape, const std::string& dtype) {
  const FromConfigOptions options = {.torch_dtype = dtype, .seed = 1};
  if (shape == "gpt2") {
    return GPT2LMHeadModel::FromConfig(PretrainedConfig(GPT2ConfigClass()),
                                       options);
  }
  return LlamaForCausalLM::FromConfig(shape == "llama"
                                          ? Llama(22, 2048, 5632, 32, 32000)
                                          : Llama(2, 64, 100, 8, 500),
                                      options);
}

// One at a time is kept: the larger ones take gigabytes, and drawing their
// weights seconds.
PretrainedModel& Cached(const std::string& shape, const std::string& dtype) {
  static auto* const name = new std::string;
  static auto* const model = new std::shared_ptr<PretrainedModel>;
  const std::string wanted = absl::StrCat(shape, "/", dtype);
  if (*name != wanted) {
    model->reset();
    absl::StatusOr<std::shared_ptr<PretrainedModel>> made = Make(shape, dtype);
    ABSL_CHECK_OK(made.status());
    *model = *made;
    *name = wanted;
  }
  return **model;
}

void BM_Generate(benchmark::State& state, const std::string& shape,
                 const std::string& dtype) {
  PretrainedModel& model = Cached(shape, dtype);
  const int64_t rows = state.range(0);
  const int64_t tokens = state.range(1);
  const at::Tensor ids =
      at::randint(1, 500, {rows, kPromptTokens}, at::TensorOptions(at::kLong));
  GenerateOptions options;
  options.settings = {{"max_new_tokens", tokens}, {"eos_token_id", nullptr}};
  for (auto _ : state) {
    auto output = Generate(model, {{"input_ids", ids}}, options);
    if (!output.ok()) {
      state.SkipWithError(output.status().ToString().c_str());
      break;
    }
    benchmark::DoNotOptimize(output);
  }
  state.SetItemsProcessed(state.iterations() * rows * tokens);
  state.counters["intraop_threads"] = at::get_num_threads();
}

#define PRETRAINED_BENCHMARK(shape, dtype, tokens)                \
  BENCHMARK_CAPTURE(BM_Generate, shape##_##dtype, #shape, #dtype) \
      ->ArgNames({"rows", "tokens"})                              \
      ->Args({1, tokens})                                         \
      ->UseRealTime()                                             \
      ->Unit(benchmark::kMillisecond)

PRETRAINED_BENCHMARK(tiny, float32, 16);
PRETRAINED_BENCHMARK(gpt2, float32, 128);
PRETRAINED_BENCHMARK(gpt2, bfloat16, 128);
PRETRAINED_BENCHMARK(llama, float32, 128);
PRETRAINED_BENCHMARK(llama, bfloat16, 128);

#undef PRETRAINED_BENCHMARK

}  // namespace
}  // namespace pretrained
