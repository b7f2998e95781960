#include "modeling/mistral/mistral_config.h"

#include <string>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/json_testutil.h"
#include "modeling/pretrained_config.h"
#include "modeling/rotary_options.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

absl::StatusOr<MistralConfig> From(absl::string_view text) {
  absl::StatusOr<PretrainedConfig> config = PretrainedConfig::FromJsonString(
      text, "dir/config.json", MistralConfigClass());
  if (!config.ok()) return config.status();
  return MistralConfig::From(*config);
}

TEST(MistralConfigTest, HasTheDefaultsOfThePeer) {
  const Json golden = ReadJsonFile("testdata/mistral/cases.json")["defaults"];
  for (const auto& [name, value] : MistralConfigClass().defaults.items()) {
    ASSERT_TRUE(golden.contains(name)) << name << " is not the peer's";
    EXPECT_EQ(value, golden[name]) << name;
  }
  const PretrainedConfig config(MistralConfigClass());
  for (const auto& [name, value] : golden.items()) {
    if (name == "model_type") continue;
    EXPECT_TRUE(config.HasDefault(name)) << name;
    EXPECT_EQ(config.Get(name), value) << name;
  }
  EXPECT_EQ(MistralConfigClass().model_type, golden["model_type"]);
}

TEST(MistralConfigTest, AnEmptyConfigIsTheDefaultOne) {
  absl::StatusOr<MistralConfig> mistral = From("{}");
  ASSERT_THAT(mistral, IsOk());
  EXPECT_EQ(mistral->decoder.intermediate_size, 14336);
  EXPECT_EQ(mistral->decoder.num_key_value_heads, 8);
  EXPECT_EQ(mistral->decoder.rotary.max_positions, 131072);
  EXPECT_EQ(mistral->decoder.rotary.dim, 128);
  EXPECT_EQ(mistral->sliding_window, 4096);
}

TEST(MistralConfigTest, ReadsEveryAttribute) {
  absl::StatusOr<MistralConfig> mistral = From(R"({
      "vocab_size": 9, "hidden_size": 24, "intermediate_size": 5,
      "num_hidden_layers": 0, "num_attention_heads": 6,
      "num_key_value_heads": null, "hidden_act": "gelu",
      "max_position_embeddings": 7, "initializer_range": 0.5,
      "rms_norm_eps": 1e-5, "use_cache": false, "pad_token_id": -1,
      "rope_theta": 500, "sliding_window": 0, "output_attentions": true,
      "output_hidden_states": true, "problem_type": "regression"})");
  ASSERT_THAT(mistral, IsOk());
  const LlamaConfig& decoder = mistral->decoder;
  EXPECT_EQ(decoder.vocab_size, 9);
  EXPECT_EQ(decoder.hidden_size, 24);
  EXPECT_EQ(decoder.intermediate_size, 5);
  EXPECT_EQ(decoder.num_hidden_layers, 0);
  EXPECT_EQ(decoder.num_attention_heads, 6);
  EXPECT_EQ(decoder.num_key_value_heads, 6);
  EXPECT_EQ(decoder.hidden_act, "gelu");
  EXPECT_EQ(decoder.max_position_embeddings, 7);
  EXPECT_EQ(decoder.initializer_range, 0.5);
  EXPECT_EQ(decoder.rms_norm_eps, 1e-5);
  EXPECT_FALSE(decoder.use_cache);
  EXPECT_EQ(decoder.pad_token_id, -1);
  EXPECT_TRUE(decoder.output_attentions);
  EXPECT_TRUE(decoder.output_hidden_states);
  EXPECT_EQ(decoder.problem_type, "regression");
  EXPECT_EQ(decoder.rotary.base, 500.0);
  EXPECT_EQ(mistral->sliding_window, 0);
}

// Of Mistral-7B-Instruct-v0.2 and later.
TEST(MistralConfigTest, TheWindowMayBeNull) {
  absl::StatusOr<MistralConfig> mistral = From(R"({"sliding_window": null})");
  ASSERT_THAT(mistral, IsOk());
  EXPECT_FALSE(mistral->sliding_window.has_value());
}

TEST(MistralConfigTest, WhatOnlyLlamaHasMeansNothing) {
  absl::StatusOr<MistralConfig> mistral = From(R"({
      "attention_bias": true, "pretraining_tp": 3,
      "rope_scaling": {"type": "linear", "factor": 2.0}})");
  ASSERT_THAT(mistral, IsOk());
  EXPECT_FALSE(mistral->decoder.attention_bias);
  EXPECT_EQ(mistral->decoder.pretraining_tp, 1);
  EXPECT_EQ(mistral->decoder.rotary.scaling, RotaryOptions::Scaling::kNone);
}

struct BadConfig {
  const char* text;
  const char* message;
};

TEST(MistralConfigTest, NamesFileAndAttributeOfWhatMakesNoModel) {
  constexpr BadConfig kBadConfigs[] = {
      {R"({"vocab_size": 0})", "'vocab_size' is 0"},
      {R"({"hidden_size": 4097})", "'hidden_size' is 4097, but a multiple of"},
      {R"({"hidden_size": 96})", "heads of an even size are expected"},
      {R"({"num_key_value_heads": 5})", "a divisor of the 32 attention heads"},
      {R"({"hidden_act": "swoosh"})", "'hidden_act' is \"swoosh\""},
      {R"({"rope_theta": 0})", "'rope_theta' is 0"},
      {R"({"pad_token_id": 32000})", "'pad_token_id' is 32000"},
      {R"({"sliding_window": -1})", "'sliding_window' is -1"},
      {R"({"sliding_window": "3"})", "'sliding_window' is \"3\""},
      {R"({"sliding_window": 2.5})", "'sliding_window' is 2.5"},
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
