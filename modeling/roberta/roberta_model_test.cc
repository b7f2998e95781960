#include "modeling/roberta/roberta_model.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

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
#include "modeling/tensor_testutil.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::HasSubstr;

constexpr char kFamily[] = "testdata/roberta";
constexpr char kFixture[] = "testdata/models/RobertaForMaskedLM";
constexpr double kTolerance = 1e-5;

at::Tensor Ids(int64_t rows, int64_t tokens) {
  return at::arange(rows * tokens, at::dtype(at::kLong))
             .remainder(26)
             .reshape({rows, tokens}) +
         2;
}

std::shared_ptr<RobertaModel> Model(const std::string& folder) {
  auto model = RobertaModel::FromPretrained(absl::StrCat(kFamily, "/", folder));
  EXPECT_THAT(model, IsOk());
  return *std::move(model);
}

at::Tensor LastState(RobertaModel& model, const BertModelInputs& inputs) {
  auto output = model.Forward(inputs);
  EXPECT_THAT(output, IsOk());
  return output->last_hidden_state;
}

TEST(RobertaModelTest, ComputesWhatThePeerComputesInEveryCase) {
  ExpectGoldenCases(kFamily, 55);
}

TEST(RobertaModelTest, RefusesWhatThePeerRefuses) {
  ExpectRefusals(
      kFamily,
      {{"ids_and_embeds", "not both"},
       {"neither_ids_nor_embeds", "give input_ids, or inputs_embeds"},
       {"one_position_too_many",
        "count from pad_token_id + 1: position_ids: holds 14"},
       {"one_embedding_too_many", "holds 14"},
       {"longer_than_the_token_types", "the sequence has 15 tokens"},
       {"position_beyond_the_table",
        "position_ids: holds 14, but max_position_embeddings is 14"},
       {"no_padding_to_count_from", "pad_token_id, which is null"},
       {"id_beyond_vocabulary", "input_ids: holds 29, but vocab_size is 29"},
       {"mask_too_short", "attention_mask: has shape [2, 5]"},
       {"token_type_beyond", "token_type_ids: holds 2"},
       {"label_beyond_vocabulary", "labels: holds 29"},
       {"masked_past", "RobertaForMaskedLM has no input 'past_key_values.0.0'"},
       {"labels_of_the_base_model", "RobertaModel has no input 'labels'"},
       {"classify_label_beyond", "labels: holds 3"},
       {"choose_of_two_dimensions", "[batch, choices, tokens] is expected"},
       {"choose_label_beyond", "labels: holds 3"},
       {"answer_of_three_labels",
        "'qa_outputs.weight': [2, 16] in the checkpoint"},
       {"heads_do_not_divide", "a multiple of the 3 attention heads"},
       {"unknown_activation", "'hidden_act' is \"swoosh\""},
       {"padding_beyond_the_positions", "'pad_token_id' is 14"}});
}

TEST(RobertaModelTest, WeighsWhatThePeerWeighs) {
  ExpectGoldenWeights(kFamily);
}

TEST(RobertaModelTest, IsTheModelOfThePeersOwnMaking) {
  ExpectFixtureOutputs(kFixture);
  ExpectFixtureFacts(kFixture);
  ExpectFixtureStart(kFixture);
  ExpectSavesWhatItLoaded(kFixture);
}

TEST(RobertaModelTest, HalfStaysNearFloat32) {
  ExpectHalfNearFloat32(kFixture);
}

// Token 1 is padding.
TEST(RobertaModelTest, PositionsPassOverPadding) {
  const auto model = Model("base");
  const at::Tensor ids =
      at::tensor({1, 5, 1, 6, 7, 1}, at::dtype(at::kLong)).reshape({1, 6});
  const at::Tensor positions =
      at::tensor({1, 2, 1, 3, 4, 1}, at::dtype(at::kLong)).reshape({1, 6});
  EXPECT_TRUE(at::equal(
      LastState(*model, {.input_ids = ids}),
      LastState(*model, {.input_ids = ids, .position_ids = positions})));
  EXPECT_FALSE(at::allclose(
      LastState(*model, {.input_ids = ids}),
      LastState(*model, {.input_ids = ids,
                         .position_ids = at::arange(6).unsqueeze(0)})));
}

TEST(RobertaModelTest, ACacheChangesNothing) {
  const auto model = Model("base_decoder");
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

// The table has a row for padding, which a new model does not draw.
TEST(RobertaModelTest, PaddingStartsAtNoPlace) {
  auto config =
      PretrainedConfig::FromPretrained(kFixture, RobertaConfigClass());
  ASSERT_THAT(config, IsOk());
  auto model = RobertaModel::FromConfig(*config, {.seed = 3});
  ASSERT_THAT(model, IsOk());
  int seen = 0;
  for (const auto& slot : (*model)->TensorSlots()) {
    if (slot.name != "embeddings.position_embeddings.weight" &&
        slot.name != "embeddings.word_embeddings.weight") {
      continue;
    }
    ++seen;
    EXPECT_TRUE(slot.tensor.select(0, 1).eq(0).all().item<bool>()) << slot.name;
    EXPECT_FALSE(slot.tensor.select(0, 0).eq(0).any().item<bool>());
  }
  EXPECT_EQ(seen, 2);
}

TEST(RobertaModelTest, ResizedEmbeddingsTakeTheNewIds) {
  auto model =
      RobertaForMaskedLM::FromPretrained(absl::StrCat(kFamily, "/masked"));
  ASSERT_THAT(model, IsOk());
  const BertHeadInputs beyond{
      {.input_ids = at::full({1, 3}, 30, at::dtype(at::kLong))}};
  EXPECT_THAT((*model)->Forward(beyond),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("vocab_size is 29")));
  ASSERT_THAT((*model)->ResizeTokenEmbeddings(32), IsOk());
  auto output = (*model)->Forward(beyond);
  ASSERT_THAT(output, IsOk());
  EXPECT_EQ(output->logits.size(2), 32);
}

TEST(RobertaModelTest, RefusesHeadsThatThereAreNot) {
  const auto model = Model("base");
  EXPECT_THAT(model->PruneHeads({{0, {2}}}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(model->PruneHeads({{1, {0}}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("layer 1 has no heads to prune")));
}

TEST(RobertaModelTest, IsWhatTheAutoClassesMake) {
  {
    auto model = AutoModel::FromPretrained(kFixture);
    ASSERT_THAT(model, IsOk());
    EXPECT_EQ((*model)->class_name(), "RobertaModel");
  }
  {
    auto model = AutoModelForPreTraining::FromPretrained(kFixture);
    ASSERT_THAT(model, IsOk());
    EXPECT_EQ((*model)->class_name(), "RobertaForMaskedLM");
  }
  {
    auto model = AutoModelForMaskedLM::FromPretrained(kFixture);
    ASSERT_THAT(model, IsOk());
    EXPECT_EQ((*model)->class_name(), "RobertaForMaskedLM");
  }
  {
    auto model = AutoModelForCausalLM::FromPretrained(kFixture);
    ASSERT_THAT(model, IsOk());
    EXPECT_EQ((*model)->class_name(), "RobertaForCausalLM");
  }
  {
    auto model = AutoModelForSequenceClassification::FromPretrained(kFixture);
    ASSERT_THAT(model, IsOk());
    EXPECT_EQ((*model)->class_name(), "RobertaForSequenceClassification");
  }
  {
    auto model = AutoModelForMultipleChoice::FromPretrained(kFixture);
    ASSERT_THAT(model, IsOk());
    EXPECT_EQ((*model)->class_name(), "RobertaForMultipleChoice");
  }
  {
    auto model = AutoModelForTokenClassification::FromPretrained(kFixture);
    ASSERT_THAT(model, IsOk());
    EXPECT_EQ((*model)->class_name(), "RobertaForTokenClassification");
  }
  {
    auto model = AutoModelForQuestionAnswering::FromPretrained(kFixture);
    ASSERT_THAT(model, IsOk());
    EXPECT_EQ((*model)->class_name(), "RobertaForQuestionAnswering");
  }
}

}  // namespace
}  // namespace pretrained
