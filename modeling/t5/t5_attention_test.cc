#include "modeling/t5/t5_attention.h"

#include <memory>
#include <string>

#include "ATen/ATen.h"
#include "device_map/module_tree.h"
#include "gtest/gtest.h"
#include "modeling/module.h"
#include "modeling/t5/t5_config.h"
#include "modeling/t5/t5_testutil.h"
#include "modeling/tensor_testutil.h"

namespace pretrained {
namespace {

constexpr double kTolerance = 1e-5;

// Block 0's self-attention, which has the table of positions, or its
// cross-attention, which has none.
std::shared_ptr<T5Attention> MakeAttention(bool is_decoder, bool is_cross) {
  const T5Config config = TinyT5Config();
  const ModuleNode steps = FirstBlockNode(config, is_decoder).child("layer");
  const ModuleNode& node = is_cross ? steps.child("1").child("EncDecAttention")
                                    : steps.child("0").child("SelfAttention");
  auto attention = std::make_shared<T5Attention>(
      node, ModuleOptions{.device = at::kCPU}, config, is_decoder);
  FillParameters(*attention);
  return attention;
}

// Some of its keys are hidden.
at::Tensor Mask() {
  return at::tensor({0.0f, 0.0f, -1e30f, 0.0f, -1e30f}).view({1, 1, 1, 5});
}

TEST(T5AttentionTest, TheFusedPathAgreesWithTheOneThatShowsProbabilities) {
  for (const bool is_decoder : {false, true}) {
    auto attention = MakeAttention(is_decoder, /*is_cross=*/false);
    T5AttentionArguments arguments{.hidden_states = SomeNumbers({2, 5, 10}, 0),
                                   .mask = Mask()};
    const T5AttentionResult fused = attention->Call(arguments);
    arguments.output_attentions = true;
    const T5AttentionResult shown = attention->Call(arguments);
    EXPECT_FALSE(fused.probabilities.defined());
    ASSERT_TRUE(shown.probabilities.defined());
    EXPECT_THAT(fused.hidden_states,
                IsCloseTo(shown.hidden_states, kTolerance));
    EXPECT_THAT(shown.probabilities.sum(-1),
                IsCloseTo(at::ones({2, 3, 5}), kTolerance));
    EXPECT_EQ(shown.probabilities.select(-1, 2).max().item().toDouble(), 0.0);
  }
}

TEST(T5AttentionTest, ScoresAreNotScaled) {
  auto attention = MakeAttention(/*is_decoder=*/true, /*is_cross=*/true);
  const T5AttentionResult result =
      attention->Call({.hidden_states = SomeNumbers({1, 2, 10}, 0),
                       .key_value_states = SomeNumbers({1, 4, 10}, 1),
                       .output_attentions = true});
  const at::Tensor x = SomeNumbers({1, 2, 10}, 0);
  at::Tensor query;
  for (const auto& slot : attention->TensorSlots()) {
    if (slot.name == "q.weight") query = at::linear(x, slot.tensor);
  }
  query = query.view({1, 2, 3, 4}).transpose(1, 2);
  EXPECT_THAT(
      result.probabilities,
      IsCloseTo(
          at::softmax(at::matmul(query, result.key.transpose(-1, -2)), -1),
          kTolerance));
  EXPECT_FALSE(result.position_bias.defined());  // Neither table nor mask.
}

// A later layer, which has no table, gets the bias of the first.
TEST(T5AttentionTest, HandsOnTheBiasWithTheMaskInIt) {
  auto attention = MakeAttention(/*is_decoder=*/false, /*is_cross=*/false);
  const at::Tensor x = SomeNumbers({1, 5, 10}, 0);
  const T5AttentionResult masked =
      attention->Call({.hidden_states = x, .mask = Mask()});
  const T5AttentionResult handed = attention->Call(
      {.hidden_states = x, .position_bias = masked.position_bias});
  EXPECT_TRUE(at::equal(masked.hidden_states, handed.hidden_states));
  const T5AttentionResult bare = attention->Call({.hidden_states = x});
  EXPECT_THAT(masked.position_bias,
              IsCloseTo(bare.position_bias + Mask(), kTolerance));
}

// One direction's buckets begin at the query; with two, keys after it have
// their own.
TEST(T5AttentionTest, ADecoderTellsNoKeysAfterTheQueryApart) {
  const T5AttentionArguments arguments{.hidden_states =
                                           SomeNumbers({1, 5, 10}, 0)};
  const at::Tensor decoder =
      MakeAttention(true, false)->Call(arguments).position_bias.select(0, 0);
  const at::Tensor encoder =
      MakeAttention(false, false)->Call(arguments).position_bias.select(0, 0);
  EXPECT_TRUE(at::equal(decoder.select(1, 0).select(1, 1),
                        decoder.select(1, 0).select(1, 4)));
  EXPECT_FALSE(at::equal(encoder.select(1, 0).select(1, 1),
                         encoder.select(1, 0).select(1, 4)));
}

TEST(T5AttentionTest, ACacheSparesTheTokensItCovers) {
  auto attention = MakeAttention(/*is_decoder=*/true, /*is_cross=*/false);
  const at::Tensor x = SomeNumbers({2, 5, 10}, 0);
  // Causal, as a decoder's: the last two queries see what they see alone.
  const at::Tensor causal =
      at::full({1, 1, 5, 5}, -1e30).triu(1).to(at::kFloat);
  const T5AttentionResult whole =
      attention->Call({.hidden_states = x, .mask = causal});
  const T5AttentionResult first =
      attention->Call({.hidden_states = x.narrow(1, 0, 3),
                       .mask = causal.narrow(2, 0, 3).narrow(3, 0, 3)});
  const T5AttentionResult rest =
      attention->Call({.hidden_states = x.narrow(1, 3, 2),
                       .mask = causal.narrow(2, 3, 2),
                       .past_key = first.key,
                       .past_value = first.value});
  EXPECT_THAT(rest.hidden_states,
              IsCloseTo(whole.hidden_states.narrow(1, 3, 2), kTolerance));
  EXPECT_THAT(rest.key, IsCloseTo(whole.key, kTolerance));
  EXPECT_THAT(rest.position_bias,
              IsCloseTo(whole.position_bias.narrow(2, 3, 2), kTolerance));
}

TEST(T5AttentionTest, CrossAttentionTakesACacheOfItsStatesLengthOnly) {
  auto attention = MakeAttention(/*is_decoder=*/true, /*is_cross=*/true);
  const at::Tensor states = SomeNumbers({1, 4, 10}, 1);
  const at::Tensor cached = SomeNumbers({1, 3, 4, 4}, 2);
  const at::Tensor other = SomeNumbers({1, 3, 6, 4}, 2);
  const T5AttentionArguments arguments{
      .hidden_states = SomeNumbers({1, 2, 10}, 0), .key_value_states = states};
  T5AttentionArguments with = arguments;
  with.past_key = with.past_value = cached;
  EXPECT_TRUE(at::equal(attention->Call(with).key, cached));
  with.past_key = with.past_value = other;
  EXPECT_TRUE(
      at::equal(attention->Call(with).key, attention->Call(arguments).key));
}

}  // namespace
}  // namespace pretrained
