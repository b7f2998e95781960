#include "modeling/roberta/roberta_config.h"

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

absl::StatusOr<RobertaConfig> From(absl::string_view text) {
  absl::StatusOr<PretrainedConfig> config = PretrainedConfig::FromJsonString(
      text, "dir/config.json", RobertaConfigClass());
  if (!config.ok()) return config.status();
  return RobertaConfig::From(*config);
}

TEST(RobertaConfigTest, HasTheDefaultsOfThePeer) {
  const Json golden = ReadJsonFile("testdata/roberta/cases.json")["defaults"];
  for (const auto& [name, value] : RobertaConfigClass().defaults.items()) {
    ASSERT_TRUE(golden.contains(name)) << name << " is not the peer's";
    EXPECT_EQ(value, golden[name]) << name;
  }
  const PretrainedConfig config(RobertaConfigClass());
  for (const auto& [name, value] : golden.items()) {
    if (name == "model_type") continue;
    EXPECT_TRUE(config.HasDefault(name)) << name;
    EXPECT_EQ(config.Get(name), value) << name;
  }
  EXPECT_EQ(RobertaConfigClass().model_type, golden["model_type"]);
}

TEST(RobertaConfigTest, AnEmptyConfigIsTheDefaultOne) {
  absl::StatusOr<RobertaConfig> roberta = From("{}");
  ASSERT_THAT(roberta, IsOk());
  const BertConfig& encoder = roberta->encoder;
  EXPECT_EQ(encoder.vocab_size, 50265);
  EXPECT_EQ(encoder.hidden_size, 768);
  EXPECT_EQ(encoder.max_position_embeddings, 512);
  EXPECT_EQ(encoder.pad_token_id, 1);
  EXPECT_TRUE(encoder.positions_pass_over_padding);
}

TEST(RobertaConfigTest, ReadsWhatBertReads) {
  absl::StatusOr<RobertaConfig> roberta = From(R"({
      "vocab_size": 9, "hidden_size": 6, "num_hidden_layers": 2,
      "num_attention_heads": 3, "intermediate_size": 5, "hidden_act": "relu",
      "max_position_embeddings": 8, "type_vocab_size": 1,
      "layer_norm_eps": 1e-5, "pad_token_id": -1, "is_decoder": true,
      "add_cross_attention": true, "classifier_dropout": 0.5,
      "position_embedding_type": "relative_key",
      "pruned_heads": {"1": [0, 2]}, "problem_type": "regression"})");
  ASSERT_THAT(roberta, IsOk());
  const BertConfig& encoder = roberta->encoder;
  EXPECT_EQ(encoder.hidden_size, 6);
  EXPECT_EQ(encoder.type_vocab_size, 1);
  EXPECT_EQ(encoder.pad_token_id, -1);
  EXPECT_TRUE(encoder.is_decoder);
  EXPECT_TRUE(encoder.add_cross_attention);
  EXPECT_EQ(encoder.classifier_dropout_prob(), 0.5);
  EXPECT_EQ(encoder.position_embedding_type, "relative_key");
  EXPECT_EQ(encoder.num_heads(1), 1);
  EXPECT_EQ(encoder.problem_type, "regression");
}

TEST(RobertaConfigTest, ThereMayBeNoPadding) {
  absl::StatusOr<RobertaConfig> roberta = From(R"({"pad_token_id": null})");
  ASSERT_THAT(roberta, IsOk());
  EXPECT_FALSE(roberta->encoder.pad_token_id.has_value());
}

struct BadConfig {
  const char* text;
  const char* message;
};

TEST(RobertaConfigTest, NamesFileAndAttributeOfWhatMakesNoModel) {
  constexpr BadConfig kBadConfigs[] = {
      {R"({"vocab_size": 0})", "'vocab_size' is 0"},
      {R"({"hidden_size": 770})", "'hidden_size' is 770, but a multiple of"},
      {R"({"hidden_act": "swoosh"})", "'hidden_act' is \"swoosh\""},
      {R"({"add_cross_attention": true})", "set is_decoder too"},
      {R"({"pad_token_id": 50265})", "a token within vocab_size"},
      {R"({"pad_token_id": 512})", "within max_position_embeddings"},
      {R"({"pruned_heads": {"12": [0]}})", "'pruned_heads' is"},
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
