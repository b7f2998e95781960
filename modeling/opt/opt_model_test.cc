#include "modeling/opt/opt_model.h"

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
#include "modeling/model_output.h"
#include "modeling/opt/opt_inputs.h"
#include "modeling/tensor_testutil.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::HasSubstr;

constexpr char kFamily[] = "testdata/opt";
constexpr char kFixture[] = "testdata/models/OPTForCausalLM";
constexpr double kTolerance = 1e-5;

at::Tensor Ids(int64_t rows, int64_t tokens) {
  return at::arange(rows * tokens, at::dtype(at::kLong))
             .remainder(28)
             .reshape({rows, tokens}) +
         1;
}

std::shared_ptr<OPTModel> Model(const FromPretrainedOptions& options = {}) {
  auto model =
      OPTModel::FromPretrained(absl::StrCat(kFamily, "/base"), options);
  EXPECT_THAT(model, IsOk());
  return *std::move(model);
}

at::Tensor LastState(OPTModel& model, const OPTModelInputs& inputs,
                     bool attentions = false) {
  auto output = model.Forward(inputs, {.output_attentions = attentions});
  EXPECT_THAT(output, IsOk());
  return output->last_hidden_state;
}

TEST(OPTModelTest, ComputesWhatThePeerComputesInEveryCase) {
  ExpectGoldenCases(kFamily, 49);
}

TEST(OPTModelTest, RefusesWhatThePeerRefuses) {
  ExpectRefusals(
      kFamily,
      {{"ids_and_embeds", "not both"},
       {"neither_ids_nor_embeds", "give input_ids, or inputs_embeds"},
       {"mask_too_short", "attention_mask: has shape [2, 5], but [2, 6]"},
       {"mask_without_the_cache",
        "attention_mask: has shape [2, 6], but [2, 9]"},
       {"mask_3d", "attention_mask: has shape [2, 6, 6]"},
       {"more_tokens_than_positions", "the sequence has 17 tokens"},
       {"id_beyond_vocabulary", "input_ids: holds 29, but vocab_size is 29"},
       {"negative_id", "input_ids: holds -1"},
       {"embeds_of_the_hidden_size", "inputs_embeds: has shape [2, 6, 16]"},
       {"cache_of_other_heads", "past_key_values.0.0: has shape [2, 4, 3, 8]"},
       {"head_mask_of_one_layer", "head_mask: has shape [2], but [2, 2]"},
       {"head_mask_of_other_layers", "head_mask: has shape [3, 2]"},
       {"labels_of_another_length", "labels: has shape [2, 5], but [2, 6]"},
       {"label_beyond_vocabulary", "labels: holds "},
       {"no_such_input", "OPTForCausalLM has no input 'position_ids'"},
       {"labels_of_the_base_model", "OPTModel has no input 'labels'"},
       {"heads_do_not_divide", "a multiple of the 5 attention heads"},
       {"unknown_activation", "'activation_function' is \"swoosh\""},
       {"padding_beyond_vocabulary", "'pad_token_id' is 29"}});
}

TEST(OPTModelTest, WeighsWhatThePeerWeighs) { ExpectGoldenWeights(kFamily); }

TEST(OPTModelTest, IsTheModelOfThePeersOwnMaking) {
  ExpectFixtureOutputs(kFixture);
  ExpectFixtureFacts(kFixture);
  ExpectFixtureStart(kFixture);
  ExpectSavesWhatItLoaded(kFixture);
}

TEST(OPTModelTest, HalfStaysNearFloat32) { ExpectHalfNearFloat32(kFixture); }

TEST(OPTModelTest, ACacheChangesNothing) {
  const auto model = Model();
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
}

// Rows that a batch padded on the left gives are those of each row alone.
TEST(OPTModelTest, PaddingOnTheLeftChangesNothing) {
  const auto model = Model();
  const at::Tensor ids = Ids(1, 5);
  const at::Tensor alone = LastState(*model, {.input_ids = ids});
  const at::Tensor padded = at::cat({at::zeros({1, 3}, ids.options()), ids}, 1);
  const at::Tensor mask = at::ones({1, 8}, ids.options());
  mask.narrow(1, 0, 3).zero_();
  const at::Tensor together =
      LastState(*model, {.input_ids = padded, .attention_mask = mask});
  EXPECT_THAT(together.narrow(1, 3, 5), IsCloseTo(alone, kTolerance));
}

TEST(OPTModelTest, ResizedEmbeddingsTakeTheNewIds) {
  const auto model = Model();
  const OPTModelInputs beyond{.input_ids =
                                  at::full({1, 3}, 30, at::dtype(at::kLong))};
  EXPECT_THAT(model->Forward(beyond),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("vocab_size is 29")));
  ASSERT_THAT(model->ResizeTokenEmbeddings(32), IsOk());
  EXPECT_THAT(model->Forward(beyond), IsOk());
}

TEST(OPTModelTest, IsWhatTheAutoClassesMake) {
  auto base = AutoModel::FromPretrained(kFixture);
  ASSERT_THAT(base, IsOk());
  EXPECT_NE(dynamic_cast<OPTModel*>(base->get()), nullptr);
  auto causal = AutoModelForCausalLM::FromPretrained(kFixture);
  ASSERT_THAT(causal, IsOk());
  EXPECT_NE(dynamic_cast<OPTForCausalLM*>(causal->get()), nullptr);
  auto sequence = AutoModelForSequenceClassification::FromPretrained(kFixture);
  ASSERT_THAT(sequence, IsOk());
  EXPECT_EQ((*sequence)->class_name(), "OPTForSequenceClassification");
  auto answer = AutoModelForQuestionAnswering::FromPretrained(kFixture);
  ASSERT_THAT(answer, IsOk());
  EXPECT_EQ((*answer)->class_name(), "OPTForQuestionAnswering");
}

}  // namespace
}  // namespace pretrained
