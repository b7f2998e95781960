#include "modeling/llama/llama_decoder.h"

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "absl/types/span.h"
#include "device_map/module_tree.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/llama/llama_config.h"
#include "modeling/llama/llama_layout.h"
#include "modeling/module.h"
#include "modeling/rotary.h"
#include "modeling/tensor_testutil.h"

namespace pretrained {
namespace {

using ::testing::ElementsAre;

constexpr double kTolerance = 1e-5;
constexpr int64_t kTokens = 5;

// Six heads of four, two key heads.
LlamaConfig Config() {
  LlamaConfig config;
  config.vocab_size = 30;
  config.hidden_size = 24;
  config.intermediate_size = 14;
  config.num_hidden_layers = 1;
  config.num_attention_heads = 6;
  config.num_key_value_heads = 2;
  config.max_position_embeddings = 16;
  config.rotary.dim = 4;
  config.rotary.max_positions = 16;
  return config;
}

at::Tensor SomeNumbers(at::IntArrayRef shape, double start) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return (at::arange(count) * 0.737 + start).sin().reshape(shape);
}

std::shared_ptr<LlamaLayer> MakeLayer(const LlamaConfig& config) {
  const ModelLayout layout = LlamaModelLayout(config);
  auto layer =
      std::make_shared<LlamaLayer>(layout.tree.root.child("layers").child("0"),
                                   ModuleOptions{.device = at::kCPU}, config,
                                   std::make_shared<RotaryState>());
  at::NoGradGuard no_grad;
  double start = 0;
  for (const Module::NamedSlot& slot : layer->TensorSlots()) {
    if (slot.is_buffer) continue;
    at::Tensor tensor = slot.tensor;
    tensor.copy_(SomeNumbers(tensor.sizes(), start) * 0.5);
    start += 0.1;
  }
  layer->ForEachModule(
      [](const std::string&, Module& each) { each.ComputeBuffers(at::kCPU); });
  layer->eval();
  return layer;
}

LlamaLayerArguments Arguments(const LlamaLayer& layer) {
  return {.hidden_states = SomeNumbers({2, kTokens, 24}, 0.3),
          .rotary = layer.attention().rotary().At(
              {.count = kTokens, .length = kTokens}, at::kFloat),
          .is_causal = true,
          .output_attentions = true};
}

// The weight of a key projection for as many key heads as heads: each key
// head's rows as often as it serves a head.
at::Tensor RepeatHeads(const at::Tensor& weight) {
  return weight.detach()
      .reshape({2, 1, 4, 24})
      .expand({2, 3, 4, 24})
      .reshape({24, 24});
}

TEST(LlamaDecoderTest, AKeyHeadServesThreeHeadsInARow) {
  const LlamaConfig grouped = Config();
  LlamaConfig repeated = Config();
  repeated.num_key_value_heads = 6;
  const auto layer = MakeLayer(grouped);
  const auto other = MakeLayer(repeated);
  for (const Module::NamedSlot& slot : layer->TensorSlots()) {
    if (slot.is_buffer) continue;
    const bool is_key = slot.name == "self_attn.k_proj.weight" ||
                        slot.name == "self_attn.v_proj.weight";
    ASSERT_TRUE(other
                    ->ReplaceTensor(slot.name, is_key ? RepeatHeads(slot.tensor)
                                                      : slot.tensor.detach())
                    .ok());
  }
  for (const bool attentions : {true, false}) {
    LlamaLayerArguments arguments = Arguments(*layer);
    arguments.output_attentions = attentions;
    const LlamaLayerResult got = layer->Call(arguments);
    const LlamaLayerResult want = other->Call(arguments);
    EXPECT_THAT(got.hidden_states, IsCloseTo(want.hidden_states, kTolerance));
    if (attentions) {
      EXPECT_THAT(got.attention, IsCloseTo(want.attention, kTolerance));
    }
  }
}

TEST(LlamaDecoderTest, NoTokenSeesALaterOne) {
  const auto layer = MakeLayer(Config());
  LlamaLayerArguments arguments = Arguments(*layer);
  const at::Tensor before = layer->Call(arguments).hidden_states;
  arguments.hidden_states = arguments.hidden_states.clone();
  arguments.hidden_states.select(1, 3) += 1.0;
  const at::Tensor after = layer->Call(arguments).hidden_states;
  EXPECT_TRUE(at::equal(after.narrow(1, 0, 3), before.narrow(1, 0, 3)));
  EXPECT_FALSE(at::allclose(after.select(1, 3), before.select(1, 3)));
  EXPECT_FALSE(at::allclose(after.select(1, 4), before.select(1, 4)));
}

TEST(LlamaDecoderTest, ReturnsWhatWasAskedForAndNothingElse) {
  const auto layer = MakeLayer(Config());
  LlamaLayerArguments arguments = Arguments(*layer);
  LlamaLayerResult result = layer->Call(arguments);
  EXPECT_THAT(result.attention.sizes().vec(),
              ElementsAre(2, 6, kTokens, kTokens));
  EXPECT_TRUE(result.present.empty());
  arguments.output_attentions = false;
  arguments.use_cache = true;
  result = layer->Call(arguments);
  EXPECT_FALSE(result.attention.defined());
  ASSERT_EQ(result.present.size(), 2u);
  EXPECT_THAT(result.present[0].sizes().vec(), ElementsAre(2, 2, kTokens, 4));
  EXPECT_THAT(result.present[1].sizes().vec(), ElementsAre(2, 2, kTokens, 4));
}

// Slicing by pretraining_tp is the plain product but for two things that the
// peer leaves out with it: biases, and what is beyond a multiple of it.
TEST(LlamaDecoderTest, PretrainingTpLeavesOutWhatThePeerLeavesOut) {
  LlamaConfig config = Config();
  config.attention_bias = true;
  const auto plain = MakeLayer(config);
  config.pretraining_tp = 4;
  const auto sliced = MakeLayer(config);
  const LlamaLayerArguments arguments = Arguments(*plain);
  const at::Tensor got = sliced->Call(arguments).hidden_states;
  EXPECT_FALSE(at::allclose(got, plain->Call(arguments).hidden_states));
  at::NoGradGuard no_grad;
  for (const Module::NamedSlot& slot : plain->TensorSlots()) {
    if (slot.name.find(".bias") != std::string::npos) slot.tensor.zero_();
    // 12 of the 14 inner numbers count.
    if (slot.name == "mlp.down_proj.weight") {
      slot.tensor.narrow(1, 12, 2).zero_();
    }
  }
  EXPECT_THAT(got, IsCloseTo(plain->Call(arguments).hidden_states, kTolerance));
}

// A hook that counts, and puts zeros in the place of the states that come in.
class ZeroHook : public ModuleHook {
 public:
  void PreForward(Module& module,
                  absl::Span<at::Tensor* const> arguments) override {
    num_arguments = static_cast<int64_t>(arguments.size());
    *arguments[0] = at::zeros_like(*arguments[0]);
  }
  void PostForward(Module& module,
                   absl::Span<at::Tensor* const> results) override {
    num_results = static_cast<int64_t>(results.size());
  }

  int64_t num_arguments = 0;
  int64_t num_results = 0;
};

TEST(LlamaDecoderTest, HooksSeeEveryTensor) {
  const auto layer = MakeLayer(Config());
  auto hook = std::make_shared<ZeroHook>();
  layer->AddHook(hook);
  LlamaLayerArguments arguments = Arguments(*layer);
  arguments.use_cache = true;
  arguments.is_causal = false;
  arguments.past = {SomeNumbers({2, 2, 3, 4}, 1), SomeNumbers({2, 2, 3, 4}, 2)};
  const LlamaLayerResult result = layer->Call(arguments);
  // States, bias, cosines, sines, key, value; states, attention, key, value.
  EXPECT_EQ(hook->num_arguments, 6);
  EXPECT_EQ(hook->num_results, 4);
  // Of zeros nothing is left but the values of the cache.
  EXPECT_TRUE(at::equal(result.present[1].narrow(2, 3, kTokens),
                        at::zeros({2, 2, kTokens, 4})));
}

}  // namespace
}  // namespace pretrained
