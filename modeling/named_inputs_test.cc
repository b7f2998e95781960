#include "modeling/named_inputs.h"

#include <cstdint>
#include <string>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/model_output.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

const at::TensorOptions kInt64 = at::dtype(at::kLong);

TEST(NamedInputsTest, PutsEachNameInItsPlace) {
  const NamedTensors tensors = {{"input_ids", at::ones({1})},
                                {"past_key_values.1.0", at::ones({2})},
                                {"past_key_values.0.3", at::ones({3})}};
  at::Tensor ids;
  at::Tensor mask = at::ones({9});
  KeyValueCache cache;
  NamedInputs named("GPT2Model", tensors);
  named.Take("input_ids", ids);
  named.Take("attention_mask", mask);
  named.TakeCache("past_key_values", cache);
  EXPECT_THAT(named.Finish(), IsOk());
  EXPECT_EQ(ids.size(0), 1);
  EXPECT_EQ(mask.size(0), 9);  // Not given: as it was.
  ASSERT_EQ(cache.size(), 2u);
  ASSERT_EQ(cache[0].size(), 4u);
  EXPECT_FALSE(cache[0][0].defined());
  EXPECT_EQ(cache[0][3].size(0), 3);
  EXPECT_EQ(cache[1][0].size(0), 2);
}

TEST(NamedInputsTest, NamesTheOneThatNobodyTook) {
  for (const char* name :
       {"", "labels", "input_id", "Input_ids", "past_key_values",
        "past_key_values.0", "past_key_values.0.4", "past_key_values.-1.0",
        "past_key_values.x.0", "past_key_values.0.0.0", "past_key_value.0.0",
        "past_key_values.99999999999.0", "past_key_values.100000.0"}) {
    const NamedTensors tensors = {{name, at::ones({1})}};
    at::Tensor ids;
    KeyValueCache cache;
    NamedInputs named("GPT2Model", tensors);
    named.Take("input_ids", ids);
    named.TakeCache("past_key_values", cache);
    EXPECT_THAT(
        named.Finish(),
        StatusIs(absl::StatusCode::kInvalidArgument,
                 AllOf(HasSubstr("GPT2Model has no input '"), HasSubstr(name),
                       HasSubstr("it takes: input_ids, "
                                 "past_key_values.LAYER.INDEX"))))
        << name;
    EXPECT_TRUE(cache.empty()) << name;
  }
}

TEST(NamedInputsTest, AModelWithoutACacheHasNoSuchName) {
  const NamedTensors tensors = {{"past_key_values.0.0", at::ones({1})}};
  NamedInputs named("BertForMaskedLM", tensors);
  EXPECT_THAT(named.Finish(), StatusIs(absl::StatusCode::kInvalidArgument,
                                       HasSubstr("'past_key_values.0.0'")));
}

TEST(CheckShapeTest, WhatIsNotGivenPasses) {
  EXPECT_THAT(CheckShape("mask", at::Tensor(), {2, 3}), IsOk());
  EXPECT_THAT(CheckShape("mask", at::ones({2, 3}), {2, 3}), IsOk());
  EXPECT_THAT(
      CheckShape("mask", at::ones({3, 2}), {2, 3}),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("mask: has shape [3, 2], but [2, 3] is expected")));
}

TEST(CheckIdsTest, IdsAreWholeNumbersBelowTheLimit) {
  EXPECT_THAT(CheckIds("ids", at::Tensor(), 5, "vocab_size"), IsOk());
  EXPECT_THAT(CheckIds("ids", at::arange(5, kInt64), 5, "vocab_size"), IsOk());
  EXPECT_THAT(CheckIds("ids", at::arange(5, at::kInt), 5, "vocab_size"),
              IsOk());
  EXPECT_THAT(CheckIds("ids", at::empty({0, 3}, kInt64), 5, "vocab_size"),
              IsOk());
  struct Bad {
    at::Tensor ids;
    const char* message;
  };
  const Bad cases[] = {
      {at::arange(6, kInt64),
       "ids: holds 5, but vocab_size is 5, so 0 to 4 are expected"},
      {at::arange(-1, 3, kInt64), "ids: holds -1"},
      {at::ones({2}), "ids: is of dtype Float, but int64 or int32"},
      {at::ones({2}, at::kBool), "ids: is of dtype Bool"},
  };
  for (const Bad& bad : cases) {
    EXPECT_THAT(
        CheckIds("ids", bad.ids, 5, "vocab_size"),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(bad.message)));
  }
}

TEST(CheckIdsOrEmbedsTest, WantsJustOneOfThem) {
  const at::Tensor ids = at::ones({2, 3}, kInt64);
  const at::Tensor embeds = at::ones({2, 3, 8});
  EXPECT_THAT(CheckIdsOrEmbeds(ids, {}, 8), IsOk());
  EXPECT_THAT(CheckIdsOrEmbeds({}, embeds, 8), IsOk());
  struct Bad {
    at::Tensor ids;
    at::Tensor embeds;
    const char* message;
  };
  const Bad cases[] = {
      {ids, embeds,
       "decoder_input_ids and decoder_inputs_embeds: give one of them"},
      {{}, {}, "give decoder_input_ids, or decoder_inputs_embeds"},
      {at::ones({3}, kInt64), {}, "decoder_input_ids: has shape [3]"},
      {at::ones({0, 3}, kInt64), {}, "decoder_input_ids: has shape [0, 3]"},
      {at::ones({2, 0}, kInt64), {}, "at least one row and one token"},
      {{}, at::ones({2, 3}), "decoder_inputs_embeds: has shape [2, 3]"},
      {{}, at::ones({2, 3, 7}), "[batch, tokens, 8] is expected"},
      {{}, at::ones({2, 0, 8}), "decoder_inputs_embeds: has shape [2, 0, 8]"},
  };
  for (const Bad& bad : cases) {
    EXPECT_THAT(
        CheckIdsOrEmbeds(bad.ids, bad.embeds, 8, "decoder_"),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(bad.message)));
  }
}

// `tensors` of them in each of two layers, for two rows, three heads of size 4.
KeyValueCache Cache(int64_t tokens, int tensors) {
  return KeyValueCache(2, LayerCache(tensors, at::ones({2, 3, tokens, 4})));
}

TEST(CheckCacheTest, WantsEveryLayersTensors) {
  EXPECT_THAT(CheckCache({}, 2, 2, 2, 2, 3, 4), IsOk());
  EXPECT_THAT(CheckCache(Cache(5, 2), 2, 2, 2, 2, 3, 4), IsOk());
  EXPECT_THAT(CheckCache(Cache(5, 4), 2, 2, 4, 2, -1, 4), IsOk());
  // Cross-attention's may be of another length.
  KeyValueCache cross = Cache(5, 4);
  cross[1][2] = cross[1][3] = at::ones({2, 3, 9, 4});
  EXPECT_THAT(CheckCache(cross, 2, 4, 4, 2, 3, 4), IsOk());

  KeyValueCache uneven = Cache(5, 2);
  uneven[1][1] = at::ones({2, 3, 4, 4});
  KeyValueCache holes = Cache(5, 2);
  holes[1][0] = at::Tensor();
  EXPECT_THAT(CheckCache(uneven, 2, 2, 2, 2, 3, 4),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("past_key_values.1.1: has shape [2, 3, 4, 4], "
                                 "but [2, 3, tokens, 4] is expected")));
  EXPECT_THAT(CheckCache(holes, 2, 2, 2, 2, 3, 4),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("past_key_values.1.0: is not given")));
  EXPECT_THAT(CheckCache(Cache(5, 2), 3, 2, 2, 2, 3, 4),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("holds 2 layers, but the model has 3")));
  EXPECT_THAT(CheckCache(Cache(5, 2), 2, 4, 4, 2, 3, 4),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("4 are expected with encoder states")));
  EXPECT_THAT(CheckCache(Cache(5, 3), 2, 2, 2, 2, 3, 4),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("holds 3 tensors, but 2 are expected")));
  for (const int64_t batch : {1, 3}) {
    EXPECT_THAT(CheckCache(Cache(5, 2), 2, 2, 2, batch, 3, 4),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
  EXPECT_THAT(CheckCache(Cache(5, 2), 2, 2, 2, 2, 2, 4),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(CheckCache(Cache(5, 2), 2, 2, 2, 2, 3, 8),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(CachedLengthTest, IsTheNumberOfTokensOrZero) {
  EXPECT_EQ(CachedLength({}), 0);
  EXPECT_EQ(CachedLength({{}}), 0);
  EXPECT_EQ(CachedLength({{at::Tensor()}}), 0);
  EXPECT_EQ(CachedLength({{at::ones({2, 3})}}), 0);
  EXPECT_EQ(CachedLength(Cache(7, 2)), 7);
}

}  // namespace
}  // namespace pretrained
