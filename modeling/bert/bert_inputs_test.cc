#include "modeling/bert/bert_inputs.h"

#include <cstdint>
#include <map>
#include <set>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/bert/bert_config.h"
#include "modeling/bert/bert_testutil.h"
#include "modeling/model_output.h"
#include "modeling/named_inputs.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::HasSubstr;

at::Tensor Ids(at::IntArrayRef shape) {
  return at::ones(shape, at::dtype(at::kLong));
}

BertConfig DecoderConfig() {
  BertConfig config = TinyBertConfig();
  config.is_decoder = true;
  config.add_cross_attention = true;
  return config;
}

// Cached keys and values of `tokens` tokens, `tensors` of them in each layer.
KeyValueCache Cache(int64_t batch, int64_t tokens, int tensors) {
  const LayerCache layer(tensors, at::ones({batch, 3, tokens, 4}));
  return KeyValueCache(3, layer);
}

absl::Status TakeAll(BertInputSet set, const NamedTensors& tensors,
                     BertModelInputs& inputs) {
  NamedInputs named("X", tensors);
  TakeBertInputs(set, named, inputs);
  return named.Finish();
}

TEST(TakeBertInputsTest, PutsEachNameInItsPlace) {
  const NamedTensors named = {{"input_ids", at::ones({1})},
                              {"attention_mask", at::ones({2})},
                              {"token_type_ids", at::ones({3})},
                              {"position_ids", at::ones({4})},
                              {"head_mask", at::ones({5})},
                              {"inputs_embeds", at::ones({6})},
                              {"encoder_hidden_states", at::ones({7})},
                              {"encoder_attention_mask", at::ones({8})},
                              {"past_key_values.1.0", at::ones({9})},
                              {"past_key_values.0.1", at::ones({10})}};
  BertModelInputs inputs;
  ASSERT_THAT(TakeAll(BertInputSet::kAll, named, inputs), IsOk());
  EXPECT_EQ(inputs.input_ids.size(0), 1);
  EXPECT_EQ(inputs.attention_mask.size(0), 2);
  EXPECT_EQ(inputs.token_type_ids.size(0), 3);
  EXPECT_EQ(inputs.position_ids.size(0), 4);
  EXPECT_EQ(inputs.head_mask.size(0), 5);
  EXPECT_EQ(inputs.inputs_embeds.size(0), 6);
  EXPECT_EQ(inputs.encoder_hidden_states.size(0), 7);
  EXPECT_EQ(inputs.encoder_attention_mask.size(0), 8);
  ASSERT_EQ(inputs.past_key_values.size(), 2u);
  EXPECT_EQ(inputs.past_key_values[1][0].size(0), 9);
  EXPECT_FALSE(inputs.past_key_values[0][0].defined());
  EXPECT_EQ(inputs.past_key_values[0][1].size(0), 10);
}

TEST(TakeBertInputsTest, AClassHasTheNamesOfItsSetAlone) {
  const NamedTensors states = {{"encoder_attention_mask", at::ones({1})}};
  const NamedTensors cache = {{"past_key_values.0.0", at::ones({1})}};
  const auto has = [](BertInputSet set, const NamedTensors& tensors) {
    BertModelInputs inputs;
    return TakeAll(set, tensors, inputs).ok();
  };
  EXPECT_FALSE(has(BertInputSet::kEncoder, states));
  EXPECT_FALSE(has(BertInputSet::kEncoder, cache));
  EXPECT_TRUE(has(BertInputSet::kEncoderStates, states));
  EXPECT_FALSE(has(BertInputSet::kEncoderStates, cache));
  EXPECT_TRUE(has(BertInputSet::kAll, states));
  EXPECT_TRUE(has(BertInputSet::kAll, cache));
}

// The same for inputs that come in a struct, which has a place for each.
TEST(CheckInputSetTest, NamesTheClassAndWhatItDoesNotTake) {
  BertModelInputs states;
  states.encoder_hidden_states = at::ones({1});
  BertModelInputs mask;
  mask.encoder_attention_mask = at::ones({1});
  BertModelInputs cache;
  cache.past_key_values = {{at::ones({1})}};
  for (const BertModelInputs& inputs : {states, mask, cache}) {
    EXPECT_THAT(CheckInputSet(BertInputSet::kAll, "X", inputs), IsOk());
    EXPECT_THAT(CheckInputSet(BertInputSet::kEncoder, "X", inputs),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr(": X does not take it")));
  }
  EXPECT_THAT(CheckInputSet(BertInputSet::kEncoderStates, "X", states), IsOk());
  EXPECT_THAT(CheckInputSet(BertInputSet::kEncoderStates, "X", mask), IsOk());
  EXPECT_THAT(CheckInputSet(BertInputSet::kEncoderStates, "X", cache),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("past_key_values: X does not take it")));
}

TEST(CheckBertInputsTest, TakesWhatFits) {
  const BertConfig encoder = TinyBertConfig();
  const BertConfig decoder = DecoderConfig();
  EXPECT_THAT(CheckBertInputs(encoder, {.input_ids = Ids({2, 24})}), IsOk());
  EXPECT_THAT(CheckBertInputs(encoder, {.input_ids = Ids({2, 3}).to(at::kInt),
                                        .attention_mask = at::ones({2, 3}),
                                        .token_type_ids = Ids({2, 3}),
                                        .position_ids = Ids({1, 3})}),
              IsOk());
  EXPECT_THAT(CheckBertInputs(encoder, {.input_ids = Ids({2, 3}),
                                        .attention_mask = at::ones({2, 3, 3})}),
              IsOk());
  EXPECT_THAT(CheckBertInputs(encoder, {.inputs_embeds = at::ones({2, 3, 12})}),
              IsOk());
  EXPECT_THAT(
      CheckBertInputs(decoder, {.input_ids = Ids({2, 3}),
                                .attention_mask = at::ones({2, 8}),
                                .encoder_hidden_states = at::ones({2, 6, 12}),
                                .encoder_attention_mask = at::ones({2, 6}),
                                .past_key_values = Cache(2, 5, 4)}),
      IsOk());
}

// Positions and token types of the caller's make do without the tables, which
// end at max_position_embeddings; relative positions never do.
TEST(CheckBertInputsTest, TakesLongSequencesWithPositionsOfTheirOwn) {
  const at::Tensor zeros = at::zeros({1, 25}, at::kLong);
  const BertModelInputs inputs = {
      .input_ids = zeros, .token_type_ids = zeros, .position_ids = zeros};
  BertConfig config = TinyBertConfig();
  EXPECT_THAT(CheckBertInputs(config, inputs), IsOk());
  config.position_embedding_type = "relative_key";
  EXPECT_THAT(CheckBertInputs(config, inputs),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

struct BadInputs {
  const char* message;
  BertModelInputs inputs;
  std::map<int64_t, std::set<int64_t>> pruned_heads = {};
};

TEST(CheckBertInputsTest, SaysWhichInputIsWrongAndHow) {
  const at::Tensor ids = Ids({2, 3});
  const BadInputs encoder_cases[] = {
      {"give input_ids, or inputs_embeds", {}},
      {"not both", {.input_ids = ids, .inputs_embeds = at::ones({2, 3, 12})}},
      {"input_ids: has shape [3], but", {.input_ids = Ids({3})}},
      {"input_ids: has shape [2, 0]", {.input_ids = Ids({2, 0})}},
      {"input_ids: has shape [0, 3]", {.input_ids = Ids({0, 3})}},
      {"inputs_embeds: has shape [2, 3, 11]",
       {.inputs_embeds = at::ones({2, 3, 11})}},
      {"inputs_embeds: has shape [2, 3]", {.inputs_embeds = at::ones({2, 3})}},
      {"has 25 tokens, but the model has max_position_embeddings 24",
       {.input_ids = Ids({1, 25})}},
      {"input_ids: is of dtype Float", {.input_ids = at::ones({2, 3})}},
      {"input_ids: holds 30, but vocab_size is 30",
       {.input_ids = at::full({2, 3}, 30)}},
      {"input_ids: holds -1", {.input_ids = at::full({2, 3}, -1)}},
      {"token_type_ids: holds 2, but type_vocab_size is 2",
       {.input_ids = ids, .token_type_ids = at::full({2, 3}, 2)}},
      {"token_type_ids: has shape [2, 4]",
       {.input_ids = ids, .token_type_ids = Ids({2, 4})}},
      {"position_ids: holds 24",
       {.input_ids = ids, .position_ids = at::full({1, 3}, 24)}},
      {"position_ids: has shape [1, 4]",
       {.input_ids = ids, .position_ids = Ids({1, 4})}},
      {"position_ids: has shape [3, 3]",
       {.input_ids = ids, .position_ids = Ids({3, 3})}},
      {"position_ids: has shape []",
       {.input_ids = ids, .position_ids = Ids({})}},
      {"attention_mask: has shape [2, 4]",
       {.input_ids = ids, .attention_mask = at::ones({2, 4})}},
      {"attention_mask: has shape [3, 3]",
       {.input_ids = ids, .attention_mask = at::ones({3, 3})}},
      {"attention_mask: has shape [3]",
       {.input_ids = ids, .attention_mask = at::ones({3})}},
      {"attention_mask: has shape [2, 2, 3]",
       {.input_ids = ids, .attention_mask = at::ones({2, 2, 3})}},
      {"past_key_values: only a decoder",
       {.input_ids = ids, .past_key_values = Cache(2, 5, 2)}},
  };
  for (const BadInputs& bad : encoder_cases) {
    EXPECT_THAT(
        CheckBertInputs(TinyBertConfig(), bad.inputs),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(bad.message)));
  }
}

TEST(CheckBertInputsTest, ADecodersStatesAndCacheMustFitToo) {
  const at::Tensor ids = Ids({2, 3});
  const at::Tensor states = at::ones({2, 6, 12});
  KeyValueCache uneven = Cache(2, 5, 2);
  uneven[1][1] = at::ones({2, 3, 4, 4});
  KeyValueCache holes = Cache(2, 5, 2);
  holes[2][0] = at::Tensor();
  KeyValueCache short_cache = Cache(2, 5, 2);
  short_cache.pop_back();
  const BadInputs cases[] = {
      {"encoder_hidden_states: has shape [2, 6, 11]",
       {.input_ids = ids, .encoder_hidden_states = at::ones({2, 6, 11})}},
      {"encoder_hidden_states: has shape [3, 6, 12]",
       {.input_ids = ids, .encoder_hidden_states = at::ones({3, 6, 12})}},
      {"encoder_attention_mask: has shape [2, 5]",
       {.input_ids = ids,
        .encoder_hidden_states = states,
        .encoder_attention_mask = at::ones({2, 5})}},
      {"encoder_attention_mask: has shape [6]",
       {.input_ids = ids,
        .encoder_hidden_states = states,
        .encoder_attention_mask = at::ones({6})}},
      {"past_key_values: holds 2 layers, but the model has 3",
       {.input_ids = ids, .past_key_values = short_cache}},
      {"past_key_values.1.1: has shape [2, 3, 4, 4]",
       {.input_ids = ids, .past_key_values = uneven}},
      {"past_key_values.2.0: is not given",
       {.input_ids = ids, .past_key_values = holes}},
      {"past_key_values.0.0: has shape [1, 3, 5, 4]",
       {.input_ids = ids, .past_key_values = Cache(1, 5, 2)}},
      {"4 are expected with encoder states",
       {.input_ids = ids,
        .encoder_hidden_states = states,
        .past_key_values = Cache(2, 5, 2)}},
      {"past_key_values.1.0: has shape [2, 3, 5, 4], but [2, 2, tokens, 4]",
       {.input_ids = ids, .past_key_values = Cache(2, 5, 2)},
       {{1, {0}}}},
      {"has 25 tokens", {.input_ids = ids, .past_key_values = Cache(2, 22, 2)}},
  };
  for (const BadInputs& bad : cases) {
    BertConfig config = DecoderConfig();
    config.pruned_heads = bad.pruned_heads;
    EXPECT_THAT(
        CheckBertInputs(config, bad.inputs),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(bad.message)));
  }
  BertConfig no_cross = DecoderConfig();
  no_cross.add_cross_attention = false;
  EXPECT_THAT(CheckBertInputs(no_cross, {.input_ids = ids,
                                         .encoder_hidden_states = states}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("set add_cross_attention")));
}

TEST(CheckBertInputsTest, ChunksMustDivideTheSequence) {
  BertConfig config = TinyBertConfig();
  config.chunk_size_feed_forward = 2;
  EXPECT_THAT(CheckBertInputs(config, {.input_ids = Ids({1, 4})}), IsOk());
  EXPECT_THAT(CheckBertInputs(config, {.input_ids = Ids({1, 3})}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("multiple of chunk_size_feed_forward, 2")));
}

}  // namespace
}  // namespace pretrained
