#include "modeling/bloom/bloom_model.h"

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
#include "modeling/bloom/bloom_heads.h"
#include "modeling/bloom/bloom_inputs.h"
#include "modeling/family_testutil.h"
#include "modeling/from_pretrained_options.h"
#include "modeling/model_output.h"
#include "modeling/tensor_testutil.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::HasSubstr;

constexpr char kFamily[] = "testdata/bloom";
constexpr char kFixture[] = "testdata/models/BloomForCausalLM";
constexpr double kTolerance = 1e-5;

at::Tensor Ids(int64_t rows, int64_t tokens) {
  return at::arange(rows * tokens, at::dtype(at::kLong))
             .remainder(28)
             .reshape({rows, tokens}) +
         1;
}

std::shared_ptr<BloomModel> Model(const FromPretrainedOptions& options = {}) {
  auto model =
      BloomModel::FromPretrained(absl::StrCat(kFamily, "/base"), options);
  EXPECT_THAT(model, IsOk());
  return *std::move(model);
}

at::Tensor LastState(BloomModel& model, const BloomModelInputs& inputs,
                     bool attentions = false) {
  auto output = model.Forward(inputs, {.output_attentions = attentions});
  EXPECT_THAT(output, IsOk());
  return output->last_hidden_state;
}

TEST(BloomModelTest, ComputesWhatThePeerComputesInEveryCase) {
  ExpectGoldenCases(kFamily, 40);
}

TEST(BloomModelTest, RefusesWhatThePeerRefuses) {
  ExpectRefusals(
      kFamily,
      {{"ids_and_embeds", "not both"},
       {"neither_ids_nor_embeds", "give input_ids, or inputs_embeds"},
       {"mask_too_short", "attention_mask: has shape [2, 5], but [2, 6]"},
       {"mask_without_the_cache",
        "attention_mask: has shape [2, 6], but [2, 9]"},
       {"mask_3d", "attention_mask: has shape [2, 6, 6]"},
       {"id_beyond_vocabulary", "input_ids: holds 29, but vocab_size is 29"},
       {"negative_id", "input_ids: holds -1"},
       {"cache_of_other_heads",
        "past_key_values.0.0: has shape [6, 8, 3], but [4, 8, 3]"},
       {"head_mask_of_other_heads", "head_mask: has shape [3]"},
       {"labels_of_another_length", "labels: has shape [2, 5], but [2, 6]"},
       {"label_beyond_vocabulary", "labels: holds "},
       {"no_such_input", "BloomForCausalLM has no input 'token_type_ids'"},
       {"labels_of_the_base_model", "BloomModel has no input 'labels'"},
       {"rows_without_padding_token", "set pad_token_id in the config"},
       {"token_label_beyond_labels", "labels: holds 4"},
       {"cache_of_an_answer",
        "BloomForQuestionAnswering has no input 'past_key_values."},
       {"heads_do_not_divide", "a multiple of the 5 attention heads"}});
}

TEST(BloomModelTest, WeighsWhatThePeerWeighs) { ExpectGoldenWeights(kFamily); }

TEST(BloomModelTest, IsTheModelOfThePeersOwnMaking) {
  ExpectFixtureOutputs(kFixture);
  ExpectFixtureFacts(kFixture);
  ExpectFixtureStart(kFixture);
  ExpectSavesWhatItLoaded(kFixture);
}

TEST(BloomModelTest, HalfStaysNearFloat32) { ExpectHalfNearFloat32(kFixture); }

TEST(BloomModelTest, ACacheChangesNothing) {
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
TEST(BloomModelTest, PaddingOnTheLeftChangesNothing) {
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

TEST(BloomModelTest, ResizedEmbeddingsTakeTheNewIds) {
  const auto model = Model();
  const BloomModelInputs beyond{.input_ids =
                                    at::full({1, 3}, 30, at::dtype(at::kLong))};
  EXPECT_THAT(model->Forward(beyond),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("vocab_size is 29")));
  ASSERT_THAT(model->ResizeTokenEmbeddings(32), IsOk());
  EXPECT_THAT(model->Forward(beyond), IsOk());
}

TEST(BloomModelTest, IsWhatTheAutoClassesMake) {
  auto base = AutoModel::FromPretrained(kFixture);
  ASSERT_THAT(base, IsOk());
  EXPECT_NE(dynamic_cast<BloomModel*>(base->get()), nullptr);
  auto causal = AutoModelForCausalLM::FromPretrained(kFixture);
  ASSERT_THAT(causal, IsOk());
  EXPECT_NE(dynamic_cast<BloomForCausalLM*>(causal->get()), nullptr);
  auto sequence = AutoModelForSequenceClassification::FromPretrained(kFixture);
  ASSERT_THAT(sequence, IsOk());
  EXPECT_EQ((*sequence)->class_name(), "BloomForSequenceClassification");
  auto tokens = AutoModelForTokenClassification::FromPretrained(kFixture);
  ASSERT_THAT(tokens, IsOk());
  EXPECT_EQ((*tokens)->class_name(), "BloomForTokenClassification");
  auto answer = AutoModelForQuestionAnswering::FromPretrained(kFixture);
  ASSERT_THAT(answer, IsOk());
  EXPECT_EQ((*answer)->class_name(), "BloomForQuestionAnswering");
}

}  // namespace
}  // namespace pretrained
