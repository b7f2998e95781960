#include "modeling/bloom/bloom_config.h"

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

absl::StatusOr<BloomConfig> From(absl::string_view text) {
  absl::StatusOr<PretrainedConfig> config = PretrainedConfig::FromJsonString(
      text, "dir/config.json", BloomConfigClass());
  if (!config.ok()) return config.status();
  return BloomConfig::From(*config);
}

TEST(BloomConfigTest, HasTheDefaultsOfThePeer) {
  const Json golden = ReadJsonFile("testdata/bloom/cases.json")["defaults"];
  for (const auto& [name, value] : BloomConfigClass().defaults.items()) {
    ASSERT_TRUE(golden.contains(name)) << name << " is not the peer's";
    EXPECT_EQ(value, golden[name]) << name;
  }
  const PretrainedConfig config(BloomConfigClass());
  for (const auto& [name, value] : golden.items()) {
    if (name == "model_type") continue;
    EXPECT_TRUE(config.HasDefault(name)) << name;
    EXPECT_EQ(config.Get(name), value) << name;
  }
  EXPECT_EQ(BloomConfigClass().model_type, golden["model_type"]);
}

TEST(BloomConfigTest, AnEmptyConfigIsTheDefaultOne) {
  absl::StatusOr<BloomConfig> bloom = From("{}");
  ASSERT_THAT(bloom, IsOk());
  EXPECT_EQ(bloom->hidden_size, 64);
  EXPECT_EQ(bloom->head_size(), 8);
  EXPECT_FALSE(bloom->drops_bias());
  EXPECT_FALSE(bloom->pad_token_id.has_value());
}

TEST(BloomConfigTest, ReadsEveryAttribute) {
  absl::StatusOr<BloomConfig> bloom = From(R"({
      "vocab_size": 9, "hidden_size": 24, "n_layer": 0, "n_head": 3,
      "layer_norm_epsilon": 1e-3, "initializer_range": 0.5,
      "use_cache": false, "apply_residual_connection_post_layernorm": true,
      "hidden_dropout": 0.5, "attention_dropout": 0.25,
      "classifier_dropout": 0.75, "pretraining_tp": 2, "slow_but_exact": true,
      "output_attentions": true, "output_hidden_states": true,
      "pad_token_id": 8, "id2label": {"0": "a", "1": "b", "2": "c"},
      "problem_type": "regression"})");
  ASSERT_THAT(bloom, IsOk());
  EXPECT_EQ(bloom->vocab_size, 9);
  EXPECT_EQ(bloom->hidden_size, 24);
  EXPECT_EQ(bloom->n_layer, 0);
  EXPECT_EQ(bloom->n_head, 3);
  EXPECT_EQ(bloom->layer_norm_epsilon, 1e-3);
  EXPECT_EQ(bloom->initializer_range, 0.5);
  EXPECT_FALSE(bloom->use_cache);
  EXPECT_TRUE(bloom->apply_residual_connection_post_layernorm);
  EXPECT_EQ(bloom->hidden_dropout, 0.5);
  EXPECT_EQ(bloom->attention_dropout, 0.25);
  EXPECT_EQ(bloom->classifier_dropout, 0.75);
  EXPECT_TRUE(bloom->drops_bias());
  EXPECT_TRUE(bloom->output_attentions);
  EXPECT_TRUE(bloom->output_hidden_states);
  EXPECT_EQ(bloom->pad_token_id, 8);
  EXPECT_EQ(bloom->num_labels, 3);
  EXPECT_EQ(bloom->problem_type, "regression");
}

// As the largest BLOOM's config has them.
TEST(BloomConfigTest, ReadsOlderNames) {
  absl::StatusOr<BloomConfig> bloom = From(R"({
      "n_embed": 96, "num_attention_heads": 6, "num_hidden_layers": 5})");
  ASSERT_THAT(bloom, IsOk());
  EXPECT_EQ(bloom->hidden_size, 96);
  EXPECT_EQ(bloom->n_head, 6);
  EXPECT_EQ(bloom->n_layer, 5);
}

TEST(BloomConfigTest, AClassifierDropsWhatTheRestDrops) {
  absl::StatusOr<BloomConfig> bloom = From(R"({"hidden_dropout": 0.5})");
  ASSERT_THAT(bloom, IsOk());
  EXPECT_EQ(bloom->classifier_dropout, 0.5);
}

struct BadConfig {
  const char* text;
  const char* message;
};

TEST(BloomConfigTest, NamesFileAndAttributeOfWhatMakesNoModel) {
  constexpr BadConfig kBadConfigs[] = {
      {R"({"vocab_size": 0})", "'vocab_size' is 0"},
      {R"({"hidden_size": 65})", "'hidden_size' is 65, but a multiple of"},
      {R"({"pretraining_tp": 0})", "'pretraining_tp' is 0"},
      {R"({"hidden_dropout": 1.5})", "'hidden_dropout' is 1.5"},
      {R"({"slow_but_exact": 1})", "'slow_but_exact' is 1"},
      {R"({"pruned_heads": {"0": [99]}})", "'pruned_heads'"},
      {R"({"problem_type": "guess"})", "'problem_type' is \"guess\""},
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
