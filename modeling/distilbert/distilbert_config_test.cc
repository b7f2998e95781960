#include "modeling/distilbert/distilbert_config.h"

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/json_testutil.h"
#include "modeling/pretrained_config.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

absl::StatusOr<DistilBertConfig> From(absl::string_view text) {
  absl::StatusOr<PretrainedConfig> config = PretrainedConfig::FromJsonString(
      text, "dir/config.json", DistilBertConfigClass());
  if (!config.ok()) return config.status();
  return DistilBertConfig::From(*config);
}

TEST(DistilBertConfigTest, HasTheDefaultsOfThePeer) {
  const Json golden =
      ReadJsonFile("testdata/distilbert/cases.json")["defaults"];
  for (const auto& [name, value] : DistilBertConfigClass().defaults.items()) {
    ASSERT_TRUE(golden.contains(name)) << name << " is not the peer's";
    EXPECT_EQ(value, golden[name]) << name;
  }
  const PretrainedConfig config(DistilBertConfigClass());
  for (const auto& [name, value] : golden.items()) {
    if (name == "model_type") continue;
    EXPECT_TRUE(config.HasDefault(name)) << name;
    EXPECT_EQ(config.Get(name), value) << name;
  }
  EXPECT_EQ(DistilBertConfigClass().model_type, golden["model_type"]);
}

TEST(DistilBertConfigTest, AnEmptyConfigIsTheDefaultOne) {
  absl::StatusOr<DistilBertConfig> distil = From("{}");
  ASSERT_THAT(distil, IsOk());
  EXPECT_EQ(distil->vocab_size, 30522);
  EXPECT_EQ(distil->dim, 768);
  EXPECT_EQ(distil->hidden_dim, 4 * 768);
  EXPECT_EQ(distil->n_layers, 6);
  EXPECT_EQ(distil->head_size(), 64);
  EXPECT_FALSE(distil->sinusoidal_pos_embds);
  EXPECT_EQ(distil->pad_token_id, 0);
  EXPECT_EQ(distil->num_labels, 2);
}

TEST(DistilBertConfigTest, ReadsEveryAttribute) {
  absl::StatusOr<DistilBertConfig> distil = From(R"({
      "vocab_size": 9, "max_position_embeddings": 7,
      "sinusoidal_pos_embds": true, "n_layers": 3, "n_heads": 3, "dim": 12,
      "hidden_dim": 5, "dropout": 0.2, "attention_dropout": 0.3,
      "activation": "relu", "initializer_range": 0.5, "qa_dropout": 0.4,
      "seq_classif_dropout": 0.6, "pad_token_id": null,
      "chunk_size_feed_forward": 2, "output_attentions": true,
      "output_hidden_states": true, "num_labels": 4,
      "problem_type": "regression", "pruned_heads": {"0": [1], "2": [0, 2]}})");
  ASSERT_THAT(distil, IsOk());
  EXPECT_EQ(distil->vocab_size, 9);
  EXPECT_EQ(distil->max_position_embeddings, 7);
  EXPECT_TRUE(distil->sinusoidal_pos_embds);
  EXPECT_EQ(distil->n_layers, 3);
  EXPECT_EQ(distil->n_heads, 3);
  EXPECT_EQ(distil->head_size(), 4);
  EXPECT_EQ(distil->hidden_dim, 5);
  EXPECT_EQ(distil->dropout, 0.2);
  EXPECT_EQ(distil->attention_dropout, 0.3);
  EXPECT_EQ(distil->activation, "relu");
  EXPECT_EQ(distil->initializer_range, 0.5);
  EXPECT_EQ(distil->qa_dropout, 0.4);
  EXPECT_EQ(distil->seq_classif_dropout, 0.6);
  EXPECT_FALSE(distil->pad_token_id.has_value());
  EXPECT_EQ(distil->chunk_size_feed_forward, 2);
  EXPECT_TRUE(distil->output_attentions);
  EXPECT_TRUE(distil->output_hidden_states);
  EXPECT_EQ(distil->num_labels, 4);
  EXPECT_EQ(distil->problem_type, "regression");
  EXPECT_EQ(distil->pruned_heads,
            (std::map<int64_t, std::set<int64_t>>{{0, {1}}, {2, {0, 2}}}));
  EXPECT_EQ(distil->num_heads(0), 2);
  EXPECT_EQ(distil->num_heads(1), 3);
  EXPECT_EQ(distil->num_heads(2), 1);
}

TEST(DistilBertConfigTest, TakesTheStandardNames) {
  absl::StatusOr<DistilBertConfig> distil = From(
      R"({"hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1})");
  ASSERT_THAT(distil, IsOk());
  EXPECT_EQ(distil->dim, 8);
  EXPECT_EQ(distil->n_heads, 2);
  EXPECT_EQ(distil->n_layers, 1);
}

struct BadConfig {
  const char* text;
  const char* message;
};

TEST(DistilBertConfigTest, NamesFileAndAttributeOfWhatMakesNoModel) {
  constexpr BadConfig kBadConfigs[] = {
      {R"({"vocab_size": 0})", "'vocab_size' is 0"},
      {R"({"dim": 770})", "'dim' is 770, but a multiple of the 12"},
      {R"({"n_layers": -1})", "'n_layers' is -1"},
      {R"({"activation": "swoosh"})", "'activation' is \"swoosh\""},
      {R"({"qa_dropout": 1.5})", "'qa_dropout' is 1.5"},
      {R"({"pad_token_id": 30522})", "a token within vocab_size"},
      {R"({"problem_type": "riddle"})", "'problem_type' is \"riddle\""},
      {R"({"pruned_heads": {"6": [0]}})", "'pruned_heads' is"},
      {R"({"pruned_heads": {"0": [12]}})", "'pruned_heads' is"},
      {R"({"n_heads": 1, "pruned_heads": {"0": [0]}})", "'pruned_heads' is"},
  };
  for (const BadConfig& bad : kBadConfigs) {
    SCOPED_TRACE(bad.text);
    EXPECT_THAT(From(bad.text), StatusIs(absl::StatusCode::kInvalidArgument,
                                         AllOf(HasSubstr("dir/config.json: "),
                                               HasSubstr(bad.message))));
  }
}

}  // namespace
}  // namespace pretrained
