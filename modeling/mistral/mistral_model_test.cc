#include "modeling/mistral/mistral_model.h"

#include <cstdint>
#include <memory>
#include <string>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/auto_model.h"
#include "modeling/family_testutil.h"
#include "modeling/from_pretrained_options.h"
#include "modeling/llama/llama_inputs.h"
#include "modeling/model_output.h"
#include "modeling/tensor_testutil.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::HasSubstr;

constexpr char kFamily[] = "testdata/mistral";
constexpr char kFixture[] = "testdata/models/MistralForCausalLM";
constexpr double kTolerance = 1e-5;

at::Tensor Ids(int64_t rows, int64_t tokens) {
  return at::arange(rows * tokens, at::dtype(at::kLong))
             .remainder(28)
             .reshape({rows, tokens}) +
         1;
}

std::shared_ptr<MistralModel> Model(const FromPretrainedOptions& options = {}) {
  auto model =
      MistralModel::FromPretrained(absl::StrCat(kFamily, "/grouped"), options);
  EXPECT_THAT(model, IsOk());
  return *std::move(model);
}

std::shared_ptr<MistralModel> ModelWithWindow(nlohmann::ordered_json window,
                                              int64_t layers = 2) {
  FromPretrainedOptions options;
  options.kwargs = {{"sliding_window", std::move(window)},
                    {"num_hidden_layers", layers}};
  return Model(options);
}

at::Tensor LastState(MistralModel& model, const LlamaModelInputs& inputs,
                     bool attentions = false) {
  auto output = model.Forward(inputs, {.output_attentions = attentions});
  EXPECT_THAT(output, IsOk());
  return output->last_hidden_state;
}

TEST(MistralModelTest, ComputesWhatThePeerComputesInEveryCase) {
  ExpectGoldenCases(kFamily, 50);
}

TEST(MistralModelTest, RefusesWhatThePeerRefuses) {
  ExpectRefusals(
      kFamily,
      {{"ids_and_embeds", "not both"},
       {"neither_ids_nor_embeds", "give input_ids, or inputs_embeds"},
       {"mask_too_short", "attention_mask: has shape [2, 5], but [2, 6]"},
       {"mask_without_the_cache",
        "attention_mask: has shape [2, 6], but [2, 9]"},
       {"mask_3d", "attention_mask: has shape [2, 6, 6]"},
       {"position_beyond_the_tokens", "position_ids: holds 6"},
       {"id_beyond_vocabulary", "input_ids: holds 29, but vocab_size is 29"},
       {"negative_id", "input_ids: holds -1"},
       {"cache_of_all_heads", "past_key_values.0.0: has shape [2, 4, 3, 4]"},
       {"labels_of_another_length", "labels: has shape [2, 5], but [2, 6]"},
       {"label_beyond_vocabulary", "labels: holds "},
       {"no_such_input", "MistralForCausalLM has no input 'head_mask'"},
       {"labels_of_the_base_model", "MistralModel has no input 'labels'"},
       {"rows_without_padding_token", "input_ids: has 2 rows, but without"},
       {"heads_do_not_divide", "a multiple of the 5 attention heads"},
       {"key_heads_do_not_divide", "a divisor of the 4 attention heads"},
       {"unknown_activation", "'hidden_act' is \"swoosh\""},
       {"padding_beyond_vocabulary", "'pad_token_id' is 29"},
       {"window_that_is_no_number", "'sliding_window' is \"3\""}});
}

TEST(MistralModelTest, WeighsWhatThePeerWeighs) {
  ExpectGoldenWeights(kFamily);
}

TEST(MistralModelTest, IsTheModelOfThePeersOwnMaking) {
  ExpectFixtureOutputs(kFixture);
  ExpectFixtureFacts(kFixture);
  ExpectFixtureStart(kFixture);
  ExpectSavesWhatItLoaded(kFixture);
}

TEST(MistralModelTest, HalfStaysNearFloat32) {
  ExpectHalfNearFloat32(kFixture);
}

// Of one layer, a token tells nothing of those before its window: with a window
// of three, it sees three before its own.
TEST(MistralModelTest, ATokenSeesNoFurtherThanItsWindow) {
  const auto model = ModelWithWindow(3, /*layers=*/1);
  const at::Tensor ids = Ids(1, 8);
  at::Tensor changed = ids.clone();
  changed.select(1, 2) += 1;
  for (const bool attentions : {true, false}) {
    const at::Tensor before = LastState(*model, {.input_ids = ids}, attentions);
    const at::Tensor after =
        LastState(*model, {.input_ids = changed}, attentions);
    for (int64_t token = 0; token < 8; ++token) {
      EXPECT_EQ(at::equal(before.select(1, token), after.select(1, token)),
                token < 2 || token > 5)
          << token;
    }
  }
}

TEST(MistralModelTest, AWindowOfNullIsOneThatEndsNowhere) {
  const at::Tensor ids = Ids(2, 8);
  const at::Tensor mask = at::ones({2, 8}, at::dtype(at::kLong));
  mask.select(0, 1).narrow(0, 0, 3).zero_();
  const LlamaModelInputs inputs{.input_ids = ids, .attention_mask = mask};
  EXPECT_TRUE(at::equal(LastState(*ModelWithWindow(nullptr), inputs),
                        LastState(*ModelWithWindow(4096), inputs)));
  EXPECT_FALSE(at::allclose(LastState(*ModelWithWindow(nullptr), inputs),
                            LastState(*ModelWithWindow(3), inputs)));
}

// Keys of a block that the fused kernel works on may all be hidden from a
// query.
TEST(MistralModelTest, ALongSequenceOfShortWindowsIsComputedByTheFusedKernel) {
  const auto model = ModelWithWindow(5);
  const LlamaModelInputs inputs{.input_ids = Ids(1, 1300)};
  const at::Tensor fused = LastState(*model, inputs);
  EXPECT_FALSE(fused.isnan().any().item().toBool());
  EXPECT_THAT(fused, IsCloseTo(LastState(*model, inputs, true), kTolerance));
}

// As long as no token is further back than the window, which the cache does not
// know.
TEST(MistralModelTest, ACacheChangesNothingWithinTheWindow) {
  const auto model = ModelWithWindow(7);
  const at::Tensor ids = Ids(2, 8);
  const at::Tensor whole = LastState(*model, {.input_ids = ids});
  KeyValueCache cache;
  for (int64_t i = 0; i < 8; ++i) {
    auto step = model->Forward(
        {.input_ids = ids.narrow(1, i, 1), .past_key_values = cache});
    ASSERT_THAT(step, IsOk());
    EXPECT_THAT(step->last_hidden_state,
                IsCloseTo(whole.narrow(1, i, 1), kTolerance));
    cache = step->past_key_values;
  }
  EXPECT_EQ(cache[0][0].size(1), 2);  // Key heads.
}

TEST(MistralModelTest, ResizedEmbeddingsTakeTheNewIds) {
  const auto model = Model();
  const LlamaModelInputs beyond{.input_ids =
                                    at::full({1, 3}, 30, at::dtype(at::kLong))};
  EXPECT_THAT(model->Forward(beyond),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("vocab_size is 29")));
  ASSERT_THAT(model->ResizeTokenEmbeddings(32), IsOk());
  EXPECT_THAT(model->Forward(beyond), IsOk());
}

TEST(MistralModelTest, IsWhatTheAutoClassesMake) {
  auto base = AutoModel::FromPretrained(kFixture);
  ASSERT_THAT(base, IsOk());
  EXPECT_NE(dynamic_cast<MistralModel*>(base->get()), nullptr);
  auto causal = AutoModelForCausalLM::FromPretrained(kFixture);
  ASSERT_THAT(causal, IsOk());
  EXPECT_NE(dynamic_cast<MistralForCausalLM*>(causal->get()), nullptr);
  auto classifier =
      AutoModelForSequenceClassification::FromPretrained(kFixture);
  ASSERT_THAT(classifier, IsOk());
  EXPECT_EQ((*classifier)->class_name(), "MistralForSequenceClassification");
}

}  // namespace
}  // namespace pretrained
