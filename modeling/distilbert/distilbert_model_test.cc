#include "modeling/distilbert/distilbert_model.h"

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
#include "modeling/distilbert/distilbert_config.h"
#include "modeling/distilbert/distilbert_heads.h"
#include "modeling/distilbert/distilbert_layer.h"
#include "modeling/family_testutil.h"
#include "modeling/from_pretrained_options.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/pretrained_config.h"
#include "modeling/tensor_testutil.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::HasSubstr;

constexpr char kFamily[] = "testdata/distilbert";
constexpr char kFixture[] = "testdata/models/DistilBertModel";
constexpr double kTolerance = 1e-5;

at::Tensor Ids(int64_t rows, int64_t tokens) {
  return at::arange(rows * tokens, at::dtype(at::kLong))
             .remainder(26)
             .reshape({rows, tokens}) +
         2;
}

TEST(DistilBertModelTest, ComputesWhatThePeerComputesInEveryCase) {
  ExpectGoldenCases(kFamily, 45);
}

TEST(DistilBertModelTest, RefusesWhatThePeerRefuses) {
  ExpectRefusals(
      kFamily,
      {{"ids_and_embeds", "not both"},
       {"neither_ids_nor_embeds", "give input_ids, or inputs_embeds"},
       {"one_position_too_many", "the sequence has 13 tokens"},
       {"id_beyond_vocabulary", "input_ids: holds 29, but vocab_size is 29"},
       {"negative_id", "input_ids: holds -1"},
       {"mask_too_short", "attention_mask: has shape [2, 5], but [2, 6]"},
       {"chunks_do_not_divide", "a multiple of chunk_size_feed_forward, 4"},
       {"token_type_ids",
        "DistilBertForMaskedLM has no input 'token_type_ids'"},
       {"position_ids", "DistilBertModel has no input 'position_ids'"},
       {"labels_of_the_base_model", "DistilBertModel has no input 'labels'"},
       {"label_beyond_vocabulary", "labels: holds 29"},
       {"classify_label_beyond", "labels: holds 3"},
       {"choose_of_one_dimension", "[batch, choices, tokens] is expected"},
       {"choose_label_beyond", "labels: holds 3"},
       {"answer_of_three_labels", "is 3, but 2 is expected"},
       {"heads_do_not_divide", "a multiple of the 3 attention heads"},
       {"unknown_activation", "'activation' is \"swoosh\""},
       {"padding_beyond_vocabulary", "'pad_token_id' is 29"}});
}

TEST(DistilBertModelTest, WeighsWhatThePeerWeighs) {
  ExpectGoldenWeights(kFamily);
}

TEST(DistilBertModelTest, IsTheModelOfThePeersOwnMaking) {
  ExpectFixtureOutputs(kFixture);
  ExpectFixtureFacts(kFixture);
  ExpectFixtureStart(kFixture);
  ExpectSavesWhatItLoaded(kFixture);
}

TEST(DistilBertModelTest, HalfStaysNearFloat32) {
  ExpectHalfNearFloat32(kFixture);
}

at::Tensor Positions(PretrainedModel& model) {
  for (const auto& slot : model.TensorSlots()) {
    if (slot.name == "embeddings.position_embeddings.weight") {
      return slot.tensor;
    }
  }
  return at::Tensor();
}

// The checkpoint has those that the peer makes.
TEST(DistilBertModelTest, SinusoidalPositionsAreThePeers) {
  auto model =
      DistilBertModel::FromPretrained(absl::StrCat(kFamily, "/sinusoidal"));
  ASSERT_THAT(model, IsOk());
  const at::Tensor want = Positions(**model);
  EXPECT_THAT(SinusoidalPositions(12, 15), IsCloseTo(want, 1e-7));
  EXPECT_FALSE(want.requires_grad());
  CountOptions trained;
  trained.only_trainable = true;
  EXPECT_EQ((*model)->num_parameters() - (*model)->num_parameters(trained),
            12 * 15);

  auto new_model = DistilBertModel::FromConfig((*model)->config(), {.seed = 1});
  ASSERT_THAT(new_model, IsOk());
  EXPECT_THAT(Positions(**new_model), IsCloseTo(want, 1e-7));
  EXPECT_FALSE(Positions(**new_model).requires_grad());
}

TEST(DistilBertModelTest, ResizedEmbeddingsTakeTheNewIds) {
  auto model =
      DistilBertForMaskedLM::FromPretrained(absl::StrCat(kFamily, "/masked"));
  ASSERT_THAT(model, IsOk());
  const DistilBertHeadInputs beyond{
      {.input_ids = at::full({1, 3}, 30, at::dtype(at::kLong))}};
  EXPECT_THAT((*model)->Forward(beyond),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("vocab_size is 29")));
  ASSERT_THAT((*model)->ResizeTokenEmbeddings(32), IsOk());
  auto output = (*model)->Forward(beyond);
  ASSERT_THAT(output, IsOk());
  EXPECT_EQ(output->logits.size(2), 32);
}

TEST(DistilBertModelTest, ResizedPositionsTakeLongerTexts) {
  auto model = DistilBertForTokenClassification::FromPretrained(
      absl::StrCat(kFamily, "/tokens"));
  ASSERT_THAT(model, IsOk());
  const Module& table = *(*model)->get_position_embeddings();
  const at::Tensor before = table.parameter("weight").detach().clone();
  const int64_t positions = before.size(0);
  const DistilBertHeadInputs longer{{.input_ids = Ids(2, positions + 3)}};
  EXPECT_THAT((*model)->Forward(longer),
              StatusIs(absl::StatusCode::kInvalidArgument));
  const DistilBertHeadInputs old{{.input_ids = Ids(2, positions)}};
  const at::Tensor want = (*model)->Forward(old)->logits;
  ASSERT_THAT((*model)->ResizePositionEmbeddings(positions + 3), IsOk());
  EXPECT_EQ((*model)->config().Get("max_position_embeddings"), positions + 3);
  EXPECT_TRUE(
      at::equal(table.parameter("weight").narrow(0, 0, positions), before));
  EXPECT_THAT((*model)->Forward(longer), IsOk());
  EXPECT_THAT((*model)->Forward(old)->logits, IsCloseTo(want, 0.0));
  // And back again, for shorter ones.
  ASSERT_THAT((*model)->ResizePositionEmbeddings(4), IsOk());
  EXPECT_TRUE(at::equal(table.parameter("weight"), before.narrow(0, 0, 4)));
  EXPECT_THAT((*model)->Forward(old),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("max_position_embeddings 4")));
  for (const int64_t bad : {0, -1}) {
    EXPECT_THAT((*model)->ResizePositionEmbeddings(bad),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("positions were asked for")));
  }
}

TEST(DistilBertModelTest, SinesGoOnWhereTheyEnded) {
  PretrainedConfig config(DistilBertConfigClass());
  const nlohmann::ordered_json attributes = {{"dim", 16},
                                             {"n_heads", 2},
                                             {"n_layers", 1},
                                             {"hidden_dim", 8},
                                             {"vocab_size", 9},
                                             {"max_position_embeddings", 12},
                                             {"sinusoidal_pos_embds", true}};
  for (const auto& [name, value] : attributes.items()) config.Set(name, value);
  auto model = DistilBertModel::FromConfig(config, {.seed = 1});
  ASSERT_THAT(model, IsOk());
  ASSERT_THAT((*model)->ResizePositionEmbeddings(20), IsOk());
  EXPECT_THAT(Positions(**model), IsCloseTo(SinusoidalPositions(20, 16), 0.0));
  EXPECT_FALSE(Positions(**model).requires_grad());
  EXPECT_THAT((*model)->Forward({.input_ids = at::zeros({1, 20}, at::kLong)}),
              IsOk());
}

TEST(DistilBertModelTest, PrunedHeadsArePartOfTheConfig) {
  auto model = DistilBertForTokenClassification::FromPretrained(
      absl::StrCat(kFamily, "/tokens"));
  ASSERT_THAT(model, IsOk());
  const int64_t before = (*model)->num_parameters();
  EXPECT_THAT((*model)->PruneHeads({{0, {0, 1}}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("would leave none")));
  EXPECT_THAT((*model)->PruneHeads({{1, {0}}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("layer 1 has no heads to prune")));
  ASSERT_THAT((*model)->PruneHeads({{0, {1}}}), IsOk());
  EXPECT_EQ((*model)->config().Get("pruned_heads").dump(), R"({"0":[1]})");
  // Half of three projections and their biases, and of the output's matrix.
  EXPECT_EQ(before - (*model)->num_parameters(), 3 * (8 * 16 + 8) + 8 * 16);
  EXPECT_THAT((*model)->Forward({{.input_ids = Ids(2, 5)}}), IsOk());
}

TEST(DistilBertModelTest, IsWhatTheAutoClassesMake) {
  {
    auto model = AutoModel::FromPretrained(kFixture);
    ASSERT_THAT(model, IsOk());
    EXPECT_EQ((*model)->class_name(), "DistilBertModel");
  }
  {
    auto model = AutoModelForPreTraining::FromPretrained(kFixture);
    ASSERT_THAT(model, IsOk());
    EXPECT_EQ((*model)->class_name(), "DistilBertForMaskedLM");
  }
  {
    auto model = AutoModelForMaskedLM::FromPretrained(kFixture);
    ASSERT_THAT(model, IsOk());
    EXPECT_EQ((*model)->class_name(), "DistilBertForMaskedLM");
  }
  {
    auto model = AutoModelForSequenceClassification::FromPretrained(kFixture);
    ASSERT_THAT(model, IsOk());
    EXPECT_EQ((*model)->class_name(), "DistilBertForSequenceClassification");
  }
  {
    auto model = AutoModelForMultipleChoice::FromPretrained(kFixture);
    ASSERT_THAT(model, IsOk());
    EXPECT_EQ((*model)->class_name(), "DistilBertForMultipleChoice");
  }
  {
    auto model = AutoModelForTokenClassification::FromPretrained(kFixture);
    ASSERT_THAT(model, IsOk());
    EXPECT_EQ((*model)->class_name(), "DistilBertForTokenClassification");
  }
  {
    auto model = AutoModelForQuestionAnswering::FromPretrained(kFixture);
    ASSERT_THAT(model, IsOk());
    EXPECT_EQ((*model)->class_name(), "DistilBertForQuestionAnswering");
  }
}

}  // namespace
}  // namespace pretrained
