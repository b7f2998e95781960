#include "modeling/llama/llama_config.h"

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
using Scaling = RotaryOptions::Scaling;

constexpr char kCases[] = "testdata/llama/cases.json";

absl::StatusOr<LlamaConfig> From(absl::string_view text) {
  absl::StatusOr<PretrainedConfig> config = PretrainedConfig::FromJsonString(
      text, "dir/config.json", LlamaConfigClass());
  if (!config.ok()) return config.status();
  return LlamaConfig::From(*config);
}

TEST(LlamaConfigTest, HasTheDefaultsOfThePeer) {
  const Json golden = ReadJsonFile(kCases)["defaults"];
  Json attributes = LlamaConfigClass().defaults;
  LlamaConfigClass().derive(attributes);
  for (const auto& [name, value] : attributes.items()) {
    ASSERT_TRUE(golden.contains(name)) << name << " is not the peer's";
    EXPECT_EQ(value, golden[name]) << name;
  }
  const PretrainedConfig config(LlamaConfigClass());
  for (const auto& [name, value] : golden.items()) {
    if (name == "model_type" || name == "num_key_value_heads") continue;
    EXPECT_TRUE(config.HasDefault(name)) << name;
    EXPECT_EQ(config.Get(name), value) << name;
  }
  EXPECT_EQ(LlamaConfigClass().model_type, golden["model_type"]);
}

TEST(LlamaConfigTest, KeyHeadsFollowHeadsUnlessTheyAreSet) {
  Json attributes = {{"num_attention_heads", 8},
                     {"num_key_value_heads", nullptr}};
  LlamaConfigClass().derive(attributes);
  EXPECT_EQ(attributes["num_key_value_heads"], 8);
  attributes["num_key_value_heads"] = 2;
  LlamaConfigClass().derive(attributes);
  EXPECT_EQ(attributes["num_key_value_heads"], 2);
  EXPECT_EQ(From(R"({"num_attention_heads": 8})")->num_key_value_heads, 8);
}

TEST(LlamaConfigTest, AnEmptyConfigIsTheDefaultOne) {
  absl::StatusOr<LlamaConfig> llama = From("{}");
  ASSERT_THAT(llama, IsOk());
  EXPECT_EQ(llama->vocab_size, 32000);
  EXPECT_EQ(llama->hidden_size, 4096);
  EXPECT_EQ(llama->num_key_value_heads, 32);
  EXPECT_EQ(llama->head_size(), 128);
  EXPECT_EQ(llama->rotary.dim, 128);
  EXPECT_EQ(llama->rotary.max_positions, 2048);
  EXPECT_EQ(llama->rotary.base, 10000.0);
  EXPECT_EQ(llama->rotary.scaling, Scaling::kNone);
  EXPECT_FALSE(llama->pad_token_id.has_value());
  EXPECT_EQ(llama->problem_type, "");
}

TEST(LlamaConfigTest, ReadsEveryAttribute) {
  absl::StatusOr<LlamaConfig> llama = From(R"({
      "vocab_size": 9, "hidden_size": 24, "intermediate_size": 5,
      "num_hidden_layers": 0, "num_attention_heads": 6,
      "num_key_value_heads": 2, "hidden_act": "gelu",
      "max_position_embeddings": 7, "initializer_range": 0.5,
      "rms_norm_eps": 1e-5, "use_cache": false, "pad_token_id": -1,
      "pretraining_tp": 2, "rope_theta": 500,
      "rope_scaling": {"type": "dynamic", "factor": 3.5},
      "attention_bias": true, "output_attentions": true,
      "output_hidden_states": true, "problem_type": "regression"})");
  ASSERT_THAT(llama, IsOk());
  EXPECT_EQ(llama->vocab_size, 9);
  EXPECT_EQ(llama->hidden_size, 24);
  EXPECT_EQ(llama->intermediate_size, 5);
  EXPECT_EQ(llama->num_hidden_layers, 0);
  EXPECT_EQ(llama->num_attention_heads, 6);
  EXPECT_EQ(llama->num_key_value_heads, 2);
  EXPECT_EQ(llama->hidden_act, "gelu");
  EXPECT_EQ(llama->max_position_embeddings, 7);
  EXPECT_EQ(llama->initializer_range, 0.5);
  EXPECT_EQ(llama->rms_norm_eps, 1e-5);
  EXPECT_FALSE(llama->use_cache);
  EXPECT_EQ(llama->pad_token_id, -1);
  EXPECT_EQ(llama->pretraining_tp, 2);
  EXPECT_TRUE(llama->attention_bias);
  EXPECT_TRUE(llama->output_attentions);
  EXPECT_TRUE(llama->output_hidden_states);
  EXPECT_EQ(llama->problem_type, "regression");
  EXPECT_EQ(llama->rotary.dim, 4);
  EXPECT_EQ(llama->rotary.base, 500.0);
  EXPECT_EQ(llama->rotary.max_positions, 7);
  EXPECT_EQ(llama->rotary.scaling, Scaling::kDynamic);
  EXPECT_EQ(llama->rotary.factor, 3.5);
}

TEST(LlamaConfigTest, RefusesEveryRopeScalingThatThePeerRefuses) {
  const Json refused = ReadJsonFile(kCases)["refused_rope_scalings"];
  ASSERT_GE(refused.size(), 15u);
  for (const Json& scaling : refused) {
    EXPECT_THAT(From(Json{{"rope_scaling", scaling}}.dump()),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("dir/config.json: 'rope_scaling' is")))
        << scaling;
  }
}

struct BadConfig {
  const char* text;
  const char* message;
};

TEST(LlamaConfigTest, NamesFileAndAttributeOfWhatMakesNoModel) {
  constexpr BadConfig kBadConfigs[] = {
      {R"({"vocab_size": 0})", "'vocab_size' is 0"},
      {R"({"hidden_size": 4097})", "'hidden_size' is 4097, but a multiple of"},
      {R"({"hidden_size": 96})", "heads of an even size are expected"},
      {R"({"hidden_size": 96})", "with 32 heads each has 3"},
      {R"({"num_hidden_layers": -1})", "'num_hidden_layers' is -1"},
      {R"({"num_attention_heads": 0})", "'num_attention_heads' is 0"},
      {R"({"num_key_value_heads": 0})", "'num_key_value_heads' is 0"},
      {R"({"num_key_value_heads": 5})", "a divisor of the 32 attention heads"},
      {R"({"num_key_value_heads": "4"})", "'num_key_value_heads' is \"4\""},
      {R"({"hidden_act": "swoosh"})", "'hidden_act' is \"swoosh\""},
      {R"({"max_position_embeddings": 0})", "'max_position_embeddings' is 0"},
      {R"({"pretraining_tp": 0})", "'pretraining_tp' is 0"},
      {R"({"pretraining_tp": 3})", "a divisor of 4096 and 4096"},
      {R"({"num_key_value_heads": 1, "pretraining_tp": 256})",
       "a divisor of 4096 and 128"},
      {R"({"rope_theta": 0})", "'rope_theta' is 0"},
      {R"({"rope_theta": "1e4"})", "'rope_theta' is \"1e4\""},
      {R"({"pad_token_id": 32000})", "'pad_token_id' is 32000"},
      {R"({"pad_token_id": -32001})", "'pad_token_id' is -32001"},
      {R"({"attention_bias": 1})", "'attention_bias' is 1"},
      {R"({"problem_type": "clustering"})", "single_label_classification"},
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
