#include "modeling/gpt_neox/gpt_neox_config.h"

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

absl::StatusOr<GPTNeoXConfig> From(absl::string_view text) {
  absl::StatusOr<PretrainedConfig> config = PretrainedConfig::FromJsonString(
      text, "dir/config.json", GPTNeoXConfigClass());
  if (!config.ok()) return config.status();
  return GPTNeoXConfig::From(*config);
}

TEST(GPTNeoXConfigTest, HasTheDefaultsOfThePeer) {
  const Json golden = ReadJsonFile("testdata/gpt_neox/cases.json")["defaults"];
  for (const auto& [name, value] : GPTNeoXConfigClass().defaults.items()) {
    ASSERT_TRUE(golden.contains(name)) << name << " is not the peer's";
    EXPECT_EQ(value, golden[name]) << name;
  }
  const PretrainedConfig config(GPTNeoXConfigClass());
  for (const auto& [name, value] : golden.items()) {
    if (name == "model_type") continue;
    EXPECT_TRUE(config.HasDefault(name)) << name;
    EXPECT_EQ(config.Get(name), value) << name;
  }
  EXPECT_EQ(GPTNeoXConfigClass().model_type, golden["model_type"]);
}

TEST(GPTNeoXConfigTest, AnEmptyConfigIsTheDefaultOne) {
  absl::StatusOr<GPTNeoXConfig> neox = From("{}");
  ASSERT_THAT(neox, IsOk());
  EXPECT_EQ(neox->hidden_size, 6144);
  EXPECT_EQ(neox->head_size(), 96);
  EXPECT_EQ(neox->rotary.dim, 24);
  EXPECT_EQ(neox->rotary.max_positions, 2048);
  EXPECT_EQ(neox->rotary.scaling, RotaryOptions::Scaling::kNone);
  EXPECT_TRUE(neox->rotary.stores_frequencies);
  EXPECT_TRUE(neox->use_parallel_residual);
  EXPECT_FALSE(neox->pad_token_id.has_value());
}

TEST(GPTNeoXConfigTest, ReadsEveryAttribute) {
  absl::StatusOr<GPTNeoXConfig> neox = From(R"({
      "vocab_size": 9, "hidden_size": 24, "num_hidden_layers": 0,
      "num_attention_heads": 3, "intermediate_size": 5, "hidden_act": "relu",
      "rotary_pct": 0.5, "rotary_emb_base": 500, "attention_dropout": 0.25,
      "hidden_dropout": 0.5, "classifier_dropout": 0.75,
      "max_position_embeddings": 7, "initializer_range": 0.5,
      "layer_norm_eps": 1e-3, "use_cache": false,
      "use_parallel_residual": false, "output_attentions": true,
      "output_hidden_states": true, "pad_token_id": 8,
      "id2label": {"0": "a", "1": "b", "2": "c"},
      "problem_type": "regression",
      "rope_scaling": {"type": "dynamic", "factor": 3.0}})");
  ASSERT_THAT(neox, IsOk());
  EXPECT_EQ(neox->vocab_size, 9);
  EXPECT_EQ(neox->hidden_size, 24);
  EXPECT_EQ(neox->num_hidden_layers, 0);
  EXPECT_EQ(neox->num_attention_heads, 3);
  EXPECT_EQ(neox->intermediate_size, 5);
  EXPECT_EQ(neox->hidden_act, "relu");
  EXPECT_EQ(neox->rotary_pct, 0.5);
  EXPECT_EQ(neox->attention_dropout, 0.25);
  EXPECT_EQ(neox->hidden_dropout, 0.5);
  EXPECT_EQ(neox->classifier_dropout, 0.75);
  EXPECT_EQ(neox->max_position_embeddings, 7);
  EXPECT_EQ(neox->initializer_range, 0.5);
  EXPECT_EQ(neox->layer_norm_eps, 1e-3);
  EXPECT_FALSE(neox->use_cache);
  EXPECT_FALSE(neox->use_parallel_residual);
  EXPECT_TRUE(neox->output_attentions);
  EXPECT_TRUE(neox->output_hidden_states);
  EXPECT_EQ(neox->num_labels, 3);
  EXPECT_EQ(neox->pad_token_id, 8);
  EXPECT_EQ(neox->problem_type, "regression");
  EXPECT_EQ(neox->rotary.dim, 4);
  EXPECT_EQ(neox->rotary.base, 500.0);
  EXPECT_EQ(neox->rotary.max_positions, 7);
  EXPECT_EQ(neox->rotary.scaling, RotaryOptions::Scaling::kDynamic);
  EXPECT_EQ(neox->rotary.factor, 3.0);
}

// The peer's int() of the product, which rounds towards zero.
TEST(GPTNeoXConfigTest, ThePartThatTurnsIsRoundedDown) {
  absl::StatusOr<GPTNeoXConfig> neox = From(
      R"({"hidden_size": 24, "num_attention_heads": 2, "rotary_pct": 0.24})");
  ASSERT_THAT(neox, IsOk());
  EXPECT_EQ(neox->rotary.dim, 2);  // Of 2.88.
}

struct BadConfig {
  const char* text;
  const char* message;
};

TEST(GPTNeoXConfigTest, NamesFileAndAttributeOfWhatMakesNoModel) {
  constexpr BadConfig kBadConfigs[] = {
      {R"({"vocab_size": 0})", "'vocab_size' is 0"},
      {R"({"hidden_size": 6145})", "'hidden_size' is 6145, but a multiple of"},
      {R"({"hidden_act": "swoosh"})", "'hidden_act' is \"swoosh\""},
      {R"({"hidden_dropout": 1.5})", "'hidden_dropout' is 1.5"},
      {R"({"rotary_emb_base": 0})", "'rotary_emb_base' is 0"},
      {R"({"rotary_pct": 0.26042})", "an even number of its 96 numbers"},
      {R"({"rotary_pct": 1.5})", "'rotary_pct' is 1.5"},
      {R"({"rotary_pct": -1})", "'rotary_pct' is -1"},
      {R"({"rotary_pct": 1e300})", "'rotary_pct' is 1e+300"},
      {R"({"rope_scaling": {"type": "linear", "factor": 1.0}})",
       "'rope_scaling'"},
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
