#include "modeling/t5/t5_config.h"

#include <string>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/activation_names.h"
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

absl::StatusOr<T5Config> From(absl::string_view text) {
  absl::StatusOr<PretrainedConfig> config = PretrainedConfig::FromJsonString(
      text, "dir/config.json", T5ConfigClass());
  if (!config.ok()) return config.status();
  return T5Config::From(*config);
}

// Every attribute of a config, as the peer's to_dict() lists them.
Json AttributesOf(const PretrainedConfig& config, const Json& names) {
  Json attributes = Json::object();
  for (const auto& [name, unused] : names.items()) {
    if (config.IsSet(name) || config.HasDefault(name)) {
      attributes[name] = config.Get(name);
    }
  }
  T5ConfigClass().derive(attributes);
  attributes["model_type"] = T5ConfigClass().model_type;
  return attributes;
}

TEST(T5ConfigTest, HasTheAttributesOfThePeerDerivedOnesIncluded) {
  const Json configs = ReadJsonFile("testdata/t5/configs.json")["configs"];
  ASSERT_GE(configs.size(), 10u);
  for (const Json& golden : configs) {
    SCOPED_TRACE(golden["given"].dump());
    absl::StatusOr<PretrainedConfig> config = PretrainedConfig::FromJsonString(
        golden["given"].dump(), "config.json", T5ConfigClass());
    ASSERT_THAT(config, IsOk());
    const Json got = AttributesOf(*config, golden["want"]);
    for (const auto& [name, value] : golden["want"].items()) {
      EXPECT_TRUE(got.contains(name)) << name;
      EXPECT_EQ(got.value(name, Json()), value) << name;
    }
    absl::StatusOr<T5Config> t5 = T5Config::From(*config);
    ASSERT_THAT(t5, IsOk());
    EXPECT_EQ(t5->num_decoder_layers, golden["want"]["num_decoder_layers"]);
    EXPECT_EQ(t5->dense_act_fn, golden["want"]["dense_act_fn"]);
    EXPECT_EQ(t5->is_gated_act, golden["want"]["is_gated_act"].get<bool>());
    EXPECT_EQ(t5->d_model, golden["want"]["d_model"]);
    EXPECT_EQ(t5->num_heads, golden["want"]["num_heads"]);
  }
}

TEST(T5ConfigTest, HasNoDefaultThatThePeerHasNot) {
  const Json golden =
      ReadJsonFile("testdata/t5/configs.json")["configs"][0]["want"];
  for (const auto& [name, value] : T5ConfigClass().defaults.items()) {
    EXPECT_TRUE(golden.contains(name)) << name << " is not the peer's";
  }
}

TEST(T5ConfigTest, RefusesWhatThePeerRefuses) {
  const Json refused = ReadJsonFile("testdata/t5/configs.json")["refused"];
  ASSERT_GE(refused.size(), 3u);
  for (const Json& given : refused) {
    EXPECT_THAT(From(given.dump()),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("'feed_forward_proj' is ")))
        << given;
  }
}

TEST(T5ConfigTest, ReadsEveryAttribute) {
  absl::StatusOr<T5Config> t5 = From(R"({
      "vocab_size": 9, "d_model": 7, "d_kv": 3, "d_ff": 5, "num_layers": 0,
      "num_decoder_layers": 4, "num_heads": 2,
      "relative_attention_num_buckets": 6,
      "relative_attention_max_distance": 11, "dropout_rate": 0,
      "layer_norm_epsilon": 1e-5, "initializer_factor": 0.5,
      "feed_forward_proj": "gated-silu", "use_cache": false,
      "is_decoder": true, "is_encoder_decoder": false,
      "tie_word_embeddings": false, "tie_encoder_decoder": true,
      "pad_token_id": null, "decoder_start_token_id": 8,
      "output_attentions": true, "output_hidden_states": true})");
  ASSERT_THAT(t5, IsOk());
  EXPECT_EQ(t5->vocab_size, 9);
  EXPECT_EQ(t5->d_model, 7);
  EXPECT_EQ(t5->d_kv, 3);
  EXPECT_EQ(t5->d_ff, 5);
  EXPECT_EQ(t5->num_layers, 0);
  EXPECT_EQ(t5->num_decoder_layers, 4);
  EXPECT_EQ(t5->num_heads, 2);
  EXPECT_EQ(t5->inner_dim(), 6);
  EXPECT_EQ(t5->relative_attention_num_buckets, 6);
  EXPECT_EQ(t5->relative_attention_max_distance, 11);
  EXPECT_EQ(t5->dropout_rate, 0.0);
  EXPECT_EQ(t5->layer_norm_epsilon, 1e-5);
  EXPECT_EQ(t5->initializer_factor, 0.5);
  EXPECT_EQ(t5->dense_act_fn, "silu");
  EXPECT_TRUE(t5->is_gated_act);
  EXPECT_FALSE(t5->use_cache);
  EXPECT_TRUE(t5->is_decoder);
  EXPECT_FALSE(t5->is_encoder_decoder);
  EXPECT_FALSE(t5->tie_word_embeddings);
  EXPECT_TRUE(t5->tie_encoder_decoder);
  EXPECT_FALSE(t5->pad_token_id.has_value());
  EXPECT_EQ(t5->decoder_start_token_id, 8);
  EXPECT_TRUE(t5->output_attentions);
  EXPECT_TRUE(t5->output_hidden_states);
}

TEST(T5ConfigTest, TakesEveryActivationPlainAndGated) {
  for (const ActivationName& activation : ActivationNames()) {
    const std::string name(activation.name);
    EXPECT_THAT(From(Json{{"feed_forward_proj", name}}.dump()), IsOk()) << name;
    EXPECT_THAT(From(Json{{"feed_forward_proj", "gated-" + name}}.dump()),
                IsOk())
        << name;
  }
}

struct BadConfig {
  const char* text;
  const char* message;
};

TEST(T5ConfigTest, NamesFileAndAttributeOfWhatMakesNoModel) {
  constexpr BadConfig kBadConfigs[] = {
      {R"({"vocab_size": 0})", "'vocab_size' is 0"},
      {R"({"d_model": "9"})", "'d_model' is \"9\""},
      {R"({"hidden_size": -8})", "'d_model' is -8"},
      {R"({"d_kv": 0})", "'d_kv' is 0"},
      {R"({"d_ff": 1.5})", "'d_ff' is 1.5"},
      {R"({"num_layers": -1})", "'num_layers' is -1"},
      {R"({"num_decoder_layers": -1})", "'num_decoder_layers' is -1"},
      {R"({"num_heads": 4294967296})", "'num_heads' is 4294967296"},
      {R"({"relative_attention_num_buckets": 3})",
       "'relative_attention_num_buckets' is 3"},
      {R"({"relative_attention_max_distance": 16})",
       "more than half of the 32"},
      {R"({"dropout_rate": 1.5})", "'dropout_rate' is 1.5"},
      {R"({"layer_norm_epsilon": "1e-6"})", "'layer_norm_epsilon' is \"1e-6\""},
      {R"({"initializer_factor": null})", "'initializer_factor' is null"},
      {R"({"feed_forward_proj": 3})", "'feed_forward_proj' is 3"},
      {R"({"feed_forward_proj": "swoosh"})", "'dense_act_fn' is \"swoosh\""},
      {R"({"feed_forward_proj": "gated-swoosh"})", "gelu_new"},
      {R"({"feed_forward_proj": "gated"})", "'dense_act_fn' is \"gated\""},
      {R"({"feed_forward_proj": "gated-"})", "'dense_act_fn' is \"\""},
      {R"({"feed_forward_proj": ""})", "'dense_act_fn' is \"\""},
      {R"({"dense_act_fn": "swoosh"})", "'dense_act_fn' is \"swoosh\""},
      {R"({"is_gated_act": 1})", "'is_gated_act' is 1"},
      {R"({"tie_word_embeddings": "no"})", "'tie_word_embeddings' is \"no\""},
      {R"({"pad_token_id": "0"})", "'pad_token_id' is \"0\""},
      {R"({"pruned_heads": {"0": [8]}})", "'pruned_heads' is {\"0\":[8]}"},
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
