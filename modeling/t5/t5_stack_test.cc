#include "modeling/t5/t5_stack.h"

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status_matchers.h"
#include "absl/types/span.h"
#include "device_map/module_tree.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/layers.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/t5/t5_config.h"
#include "modeling/t5/t5_testutil.h"
#include "modeling/tensor_testutil.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::testing::ElementsAre;

constexpr double kTolerance = 1e-5;

std::shared_ptr<T5Stack> MakeStack(bool is_decoder) {
  const T5Config config = TinyT5Config();
  const ModuleNode node = StackNode(config, is_decoder);
  const ModuleOptions on_cpu{.device = at::kCPU};
  auto stack = std::make_shared<T5Stack>(
      node, on_cpu, config,
      std::make_shared<Embedding>(node.child("embed_tokens"), on_cpu),
      is_decoder);
  FillParameters(*stack);
  return stack;
}

at::Tensor Ids(int64_t batch, int64_t length) {
  return at::arange(batch * length, at::dtype(at::kLong)).view({batch, length});
}

std::vector<int64_t> SizesOf(const at::Tensor& tensor) {
  return tensor.sizes().vec();
}

TEST(T5StackTest, AnEncodersMaskIsOneRowADecodersCausal) {
  auto encoder =
      MakeStack(/*is_decoder=*/false)->Prepare({.input_ids = Ids(2, 5)});
  ASSERT_THAT(encoder, IsOk());
  EXPECT_THAT(SizesOf(encoder->attention_mask), ElementsAre(2, 1, 1, 5));
  EXPECT_FALSE(encoder->encoder_attention_mask.defined());
  EXPECT_EQ(encoder->head_mask.size(), 2u);

  const KeyValueCache past(2, LayerCache(4, at::ones({2, 3, 4, 4})));
  auto decoder = MakeStack(/*is_decoder=*/true)
                     ->Prepare({.input_ids = Ids(2, 5),
                                .encoder_hidden_states = at::ones({2, 7, 10}),
                                .past_key_values = past});
  ASSERT_THAT(decoder, IsOk());
  // Four tokens are cached; the first new one sees them and itself.
  EXPECT_THAT(SizesOf(decoder->attention_mask), ElementsAre(2, 1, 5, 9));
  const at::Tensor first = decoder->attention_mask[1][0][0];
  EXPECT_EQ(first.eq(0).sum().item().toLong(), 5);
  EXPECT_THAT(SizesOf(decoder->encoder_attention_mask),
              ElementsAre(2, 1, 1, 7));
}

// An encoder that was handed encoder states by mistake must not use them.
TEST(T5StackTest, AnEncoderDropsEncoderStates) {
  auto arguments =
      MakeStack(/*is_decoder=*/false)
          ->Prepare({.input_ids = Ids(1, 3),
                     .encoder_hidden_states = at::ones({1, 2, 10})});
  ASSERT_THAT(arguments, IsOk());
  EXPECT_FALSE(arguments->encoder_hidden_states.defined());
}

TEST(T5StackTest, EmbedsIdsAsItWouldTakeTheirEmbeddings) {
  auto stack = MakeStack(/*is_decoder=*/false);
  auto arguments = stack->Prepare({.input_ids = Ids(1, 4)});
  ASSERT_THAT(arguments, IsOk());
  arguments->output_hidden_states = true;
  const BaseModelOutput by_ids = stack->Call(*arguments).output;
  ASSERT_EQ(by_ids.hidden_states.size(), 3u);
  EXPECT_TRUE(by_ids.attentions.empty());
  EXPECT_TRUE(by_ids.past_key_values.empty());
  arguments->input_ids = at::Tensor();
  arguments->inputs_embeds = by_ids.hidden_states[0];
  EXPECT_THAT(stack->Call(*arguments).output.last_hidden_state,
              IsCloseTo(by_ids.last_hidden_state, kTolerance));
}

// What a decoder computes at a token does not depend on the tokens after it.
TEST(T5StackTest, ADecoderLooksBackAlone) {
  auto stack = MakeStack(/*is_decoder=*/true);
  auto whole = stack->Prepare({.input_ids = Ids(1, 6)});
  auto start = stack->Prepare({.input_ids = Ids(1, 6).narrow(1, 0, 4)});
  ASSERT_THAT(whole, IsOk());
  ASSERT_THAT(start, IsOk());
  EXPECT_THAT(
      stack->Call(*start).output.last_hidden_state,
      IsCloseTo(stack->Call(*whole).output.last_hidden_state.narrow(1, 0, 4),
                kTolerance));
}

// Offloading rests on hooks that may exchange any tensor of a call.
TEST(T5StackTest, AHookSeesEveryTensorOfTheCall) {
  struct CountingHook : ModuleHook {
    void PreForward(Module&, absl::Span<at::Tensor* const> tensors) override {
      for (const at::Tensor* tensor : tensors) before += tensor->defined();
    }
    void PostForward(Module&, absl::Span<at::Tensor* const> tensors) override {
      for (const at::Tensor* tensor : tensors) after += tensor->defined();
    }
    int before = 0;
    int after = 0;
  };
  auto stack = MakeStack(/*is_decoder=*/true);
  auto arguments =
      stack->Prepare({.input_ids = Ids(1, 2),
                      .head_mask = at::ones({3}),
                      .cross_attn_head_mask = at::ones({3}),
                      .encoder_hidden_states = SomeNumbers({1, 4, 10}, 1),
                      .past_key_values = KeyValueCache(
                          2, LayerCache(4, SomeNumbers({1, 3, 4, 4}, 2)))});
  ASSERT_THAT(arguments, IsOk());
  arguments->use_cache = true;
  arguments->output_attentions = true;
  arguments->output_hidden_states = true;
  auto hook = std::make_shared<CountingHook>();
  stack->AddHook(hook);
  stack->Call(*std::move(arguments));
  // Ids, two masks, encoder states, two head masks a layer, the cache.
  EXPECT_EQ(hook->before, 4 + 2 * 2 + 2 * 4);
  // The last state, the cache, three states, two kinds of attentions.
  EXPECT_EQ(hook->after, 1 + 2 * 4 + 3 + 2 * 2);
}

}  // namespace
}  // namespace pretrained
