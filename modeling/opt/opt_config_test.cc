#include "modeling/opt/opt_config.h"

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

absl::StatusOr<OPTConfig> From(absl::string_view text) {
  absl::StatusOr<PretrainedConfig> config = PretrainedConfig::FromJsonString(
      text, "dir/config.json", OPTConfigClass());
  if (!config.ok()) return config.status();
  return OPTConfig::From(*config);
}

TEST(OPTConfigTest, HasTheDefaultsOfThePeer) {
  const Json golden = ReadJsonFile("testdata/opt/cases.json")["defaults"];
  Json attributes = OPTConfigClass().defaults;
  OPTConfigClass().derive(attributes);
  for (const auto& [name, value] : attributes.items()) {
    ASSERT_TRUE(golden.contains(name)) << name << " is not the peer's";
    EXPECT_EQ(value, golden[name]) << name;
  }
  const PretrainedConfig config(OPTConfigClass());
  for (const auto& [name, value] : golden.items()) {
    if (name == "model_type" || name == "word_embed_proj_dim") continue;
    EXPECT_TRUE(config.HasDefault(name)) << name;
    EXPECT_EQ(config.Get(name), value) << name;
  }
  EXPECT_EQ(OPTConfigClass().model_type, golden["model_type"]);
}

TEST(OPTConfigTest, AnEmptyConfigIsTheDefaultOne) {
  absl::StatusOr<OPTConfig> opt = From("{}");
  ASSERT_THAT(opt, IsOk());
  EXPECT_EQ(opt->hidden_size, 768);
  EXPECT_EQ(opt->head_size(), 64);
  EXPECT_EQ(opt->word_embed_proj_dim, 768);
  EXPECT_FALSE(opt->has_projections());
  EXPECT_TRUE(opt->has_final_layer_norm());
  EXPECT_EQ(opt->pad_token_id, 1);
}

TEST(OPTConfigTest, ReadsEveryAttribute) {
  absl::StatusOr<OPTConfig> opt = From(R"({
      "vocab_size": 9, "hidden_size": 24, "num_hidden_layers": 0,
      "num_attention_heads": 3, "ffn_dim": 5, "activation_function": "gelu",
      "word_embed_proj_dim": 7, "do_layer_norm_before": false,
      "_remove_final_layer_norm": true, "enable_bias": false,
      "layer_norm_elementwise_affine": false, "dropout": 0.5,
      "attention_dropout": 0.25, "layerdrop": 0.75,
      "max_position_embeddings": 11, "init_std": 0.5, "use_cache": false,
      "output_attentions": true, "output_hidden_states": true,
      "pad_token_id": 8, "id2label": {"0": "a", "1": "b", "2": "c"},
      "problem_type": "regression"})");
  ASSERT_THAT(opt, IsOk());
  EXPECT_EQ(opt->vocab_size, 9);
  EXPECT_EQ(opt->hidden_size, 24);
  EXPECT_EQ(opt->num_hidden_layers, 0);
  EXPECT_EQ(opt->num_attention_heads, 3);
  EXPECT_EQ(opt->ffn_dim, 5);
  EXPECT_EQ(opt->activation_function, "gelu");
  EXPECT_EQ(opt->word_embed_proj_dim, 7);
  EXPECT_TRUE(opt->has_projections());
  EXPECT_FALSE(opt->do_layer_norm_before);
  EXPECT_TRUE(opt->remove_final_layer_norm);
  EXPECT_FALSE(opt->has_final_layer_norm());
  EXPECT_FALSE(opt->enable_bias);
  EXPECT_FALSE(opt->layer_norm_elementwise_affine);
  EXPECT_EQ(opt->dropout, 0.5);
  EXPECT_EQ(opt->attention_dropout, 0.25);
  EXPECT_EQ(opt->layerdrop, 0.75);
  EXPECT_EQ(opt->max_position_embeddings, 11);
  EXPECT_EQ(opt->init_std, 0.5);
  EXPECT_FALSE(opt->use_cache);
  EXPECT_TRUE(opt->output_attentions);
  EXPECT_TRUE(opt->output_hidden_states);
  EXPECT_EQ(opt->pad_token_id, 8);
  EXPECT_EQ(opt->num_labels, 3);
  EXPECT_EQ(opt->problem_type, "regression");
}

// Norms that come after need none at the end.
TEST(OPTConfigTest, AFinalNormIsOfNormsBefore) {
  EXPECT_FALSE(
      From(R"({"do_layer_norm_before": false})")->has_final_layer_norm());
  EXPECT_FALSE(
      From(R"({"_remove_final_layer_norm": true})")->has_final_layer_norm());
}

TEST(OPTConfigTest, TokenEmbeddingsFollowTheHiddenSize) {
  absl::StatusOr<OPTConfig> opt =
      From(R"({"hidden_size": 24, "word_embed_proj_dim": null})");
  ASSERT_THAT(opt, IsOk());
  EXPECT_EQ(opt->word_embed_proj_dim, 24);
}

struct BadConfig {
  const char* text;
  const char* message;
};

TEST(OPTConfigTest, NamesFileAndAttributeOfWhatMakesNoModel) {
  constexpr BadConfig kBadConfigs[] = {
      {R"({"vocab_size": 0})", "'vocab_size' is 0"},
      {R"({"hidden_size": 769})", "'hidden_size' is 769, but a multiple of"},
      {R"({"word_embed_proj_dim": 0})", "'word_embed_proj_dim' is 0"},
      {R"({"activation_function": "swoosh"})",
       "'activation_function' is \"swoosh\""},
      {R"({"dropout": 1.5})", "'dropout' is 1.5"},
      {R"({"enable_bias": 1})", "'enable_bias' is 1"},
      {R"({"pad_token_id": 50272})", "'pad_token_id' is 50272"},
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
