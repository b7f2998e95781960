#include "modeling/bert/bert_encoder.h"

#include <cstdint>
#include <memory>
#include <vector>

#include "ATen/ATen.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/bert/bert_config.h"
#include "modeling/bert/bert_layout.h"
#include "modeling/bert/bert_testutil.h"
#include "modeling/module.h"
#include "modeling/tensor_testutil.h"

namespace pretrained {
namespace {

constexpr double kTolerance = 1e-5;

std::shared_ptr<BertEncoder> Make(const BertConfig& config) {
  const ModelLayout layout = BertModelLayout(config);
  auto encoder =
      std::make_shared<BertEncoder>(layout.tree.root.child("encoder"),
                                    ModuleOptions{.device = at::kCPU}, config);
  FillParameters(*encoder);
  return encoder;
}

BertConfig DecoderConfig() {
  BertConfig config = TinyBertConfig();
  config.is_decoder = true;
  config.add_cross_attention = true;
  return config;
}

BertEncoderArguments Arguments(const at::Tensor& x) {
  return {.hidden_states = x, .head_mask = std::vector<at::Tensor>(3)};
}

TEST(BertEncoderTest, RunsItsLayersOneAfterTheOther) {
  const auto encoder = Make(TinyBertConfig());
  const at::Tensor x = SomeNumbers({2, 4, 12}, 1);
  BertEncoderArguments arguments = Arguments(x);
  arguments.output_hidden_states = true;
  arguments.output_attentions = true;
  const BertEncoderResult result = encoder->Call(arguments);
  ASSERT_EQ(result.hidden_states.size(), 4u);
  EXPECT_TRUE(result.hidden_states[0].is_same(x));
  EXPECT_TRUE(result.hidden_states[3].is_same(result.last_hidden_state));
  for (int64_t i = 0; i < 3; ++i) {
    const BertLayerResult layer =
        encoder->layer(i).Call({.hidden_states = result.hidden_states[i]});
    EXPECT_TRUE(at::equal(layer.hidden_states, result.hidden_states[i + 1]));
    EXPECT_TRUE(at::equal(layer.attention, result.attentions[i]));
  }
}

TEST(BertEncoderTest, ReturnsNothingThatWasNotAskedFor) {
  const BertEncoderResult result =
      Make(TinyBertConfig())->Call(Arguments(SomeNumbers({2, 4, 12}, 1)));
  EXPECT_TRUE(result.last_hidden_state.defined());
  EXPECT_TRUE(result.hidden_states.empty());
  EXPECT_TRUE(result.attentions.empty());
  EXPECT_TRUE(result.cross_attentions.empty());
  EXPECT_TRUE(result.past_key_values.empty());
}

TEST(BertEncoderTest, WithoutLayersReturnsItsInput) {
  BertConfig config = TinyBertConfig();
  config.num_hidden_layers = 0;
  const at::Tensor x = SomeNumbers({2, 4, 12}, 1);
  EXPECT_TRUE(
      Make(config)->Call({.hidden_states = x}).last_hidden_state.is_same(x));
}

TEST(BertEncoderTest, FeedingForwardInChunksGivesTheSame) {
  const at::Tensor x = SomeNumbers({2, 6, 12}, 1);
  const at::Tensor want =
      Make(TinyBertConfig())->Call(Arguments(x)).last_hidden_state;
  for (const int64_t chunk : {1, 2, 3, 6}) {
    BertConfig config = TinyBertConfig();
    config.chunk_size_feed_forward = chunk;
    EXPECT_THAT(Make(config)->Call(Arguments(x)).last_hidden_state,
                IsCloseTo(want, kTolerance))
        << chunk;
  }
}

TEST(BertEncoderTest, EachLayerHasItsOwnHeadMask) {
  const auto encoder = Make(TinyBertConfig());
  BertEncoderArguments arguments = Arguments(SomeNumbers({1, 4, 12}, 1));
  arguments.output_attentions = true;
  arguments.head_mask[1] = at::ones({1, 3, 1, 1});
  arguments.head_mask[1].select(1, 2).zero_();
  const BertEncoderResult result = encoder->Call(arguments);
  for (int64_t layer = 0; layer < 3; ++layer) {
    EXPECT_EQ(result.attentions[layer].select(1, 2).eq(0).all().item().toBool(),
              layer == 1);
  }
}

TEST(BertEncoderTest, CachesSelfThenCrossKeysAndValues) {
  const auto encoder = Make(DecoderConfig());
  EXPECT_TRUE(encoder->layer(0).has_cross_attention());
  BertEncoderArguments arguments = Arguments(SomeNumbers({1, 4, 12}, 1));
  arguments.encoder_hidden_states = SomeNumbers({1, 5, 12}, 2);
  arguments.use_cache = true;
  arguments.output_attentions = true;
  const BertEncoderResult result = encoder->Call(arguments);
  ASSERT_EQ(result.past_key_values.size(), 3u);
  for (const LayerCache& layer : result.past_key_values) {
    ASSERT_EQ(layer.size(), 4u);
    EXPECT_EQ(layer[0].sizes(), at::IntArrayRef({1, 3, 4, 4}));
    EXPECT_EQ(layer[2].sizes(), at::IntArrayRef({1, 3, 5, 4}));
  }
  ASSERT_EQ(result.cross_attentions.size(), 3u);
  EXPECT_EQ(result.cross_attentions[0].sizes(), at::IntArrayRef({1, 3, 4, 5}));
}

TEST(BertEncoderTest, WithoutEncoderStatesThereIsNoCrossAttention) {
  BertEncoderArguments arguments = Arguments(SomeNumbers({1, 4, 12}, 1));
  arguments.use_cache = true;
  arguments.output_attentions = true;
  const BertEncoderResult result = Make(DecoderConfig())->Call(arguments);
  EXPECT_TRUE(result.cross_attentions.empty());
  EXPECT_EQ(result.past_key_values[0].size(), 2u);
  EXPECT_FALSE(Make(TinyBertConfig())->layer(0).has_cross_attention());
}

}  // namespace
}  // namespace pretrained
