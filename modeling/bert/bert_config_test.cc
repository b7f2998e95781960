#include "modeling/bert/bert_config.h"

#include <cstdint>
#include <optional>
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
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

absl::StatusOr<BertConfig> From(absl::string_view text) {
  absl::StatusOr<PretrainedConfig> config = PretrainedConfig::FromJsonString(
      text, "dir/config.json", BertConfigClass());
  if (!config.ok()) return config.status();
  return BertConfig::From(*config);
}

TEST(BertConfigTest, HasTheDefaultsOfThePeer) {
  const Json golden =
      ReadJsonFile("testdata/config/defaults.json")["BertConfig"];
  const PretrainedConfig config(BertConfigClass());
  for (const auto& [name, value] : golden.items()) {
    if (name == "model_type") continue;
    EXPECT_TRUE(config.HasDefault(name)) << name;
    EXPECT_EQ(config.Get(name), value) << name;
  }
  EXPECT_EQ(BertConfigClass().model_type, golden["model_type"]);
  for (const auto& [name, value] : BertConfigClass().defaults.items()) {
    EXPECT_TRUE(golden.contains(name)) << name << " is not the peer's";
  }
}

TEST(BertConfigTest, AnEmptyConfigIsTheDefaultOne) {
  absl::StatusOr<BertConfig> bert = From("{}");
  ASSERT_THAT(bert, IsOk());
  EXPECT_EQ(bert->vocab_size, 30522);
  EXPECT_EQ(bert->hidden_size, 768);
  EXPECT_EQ(bert->num_hidden_layers, 12);
  EXPECT_EQ(bert->head_size(), 64);
  EXPECT_EQ(bert->num_heads(0), 12);
  EXPECT_EQ(bert->hidden_act, "gelu");
  EXPECT_EQ(bert->layer_norm_eps, 1e-12);
  EXPECT_EQ(bert->pad_token_id, 0);
  EXPECT_EQ(bert->position_embedding_type, "absolute");
  EXPECT_TRUE(bert->use_cache);
  EXPECT_FALSE(bert->is_decoder);
  EXPECT_TRUE(bert->pruned_heads.empty());
  EXPECT_EQ(bert->num_labels, 2);
  EXPECT_EQ(bert->problem_type, "");
  EXPECT_EQ(bert->classifier_dropout, std::nullopt);
  EXPECT_EQ(bert->classifier_dropout_prob(), bert->hidden_dropout_prob);
}

TEST(BertConfigTest, ReadsEveryAttribute) {
  absl::StatusOr<BertConfig> bert = From(R"({
      "vocab_size": 9, "hidden_size": 12, "num_hidden_layers": 0,
      "num_attention_heads": 3, "intermediate_size": 5, "hidden_act": "relu",
      "hidden_dropout_prob": 0, "attention_probs_dropout_prob": 1,
      "max_position_embeddings": 4, "type_vocab_size": 1,
      "initializer_range": 0.5, "layer_norm_eps": 1e-5, "pad_token_id": null,
      "position_embedding_type": "relative_key", "use_cache": false,
      "is_decoder": true, "add_cross_attention": true,
      "chunk_size_feed_forward": 2, "output_attentions": true,
      "output_hidden_states": true, "classifier_dropout": 0.25,
      "problem_type": "regression",
      "id2label": {"0": "a", "1": "b", "2": "c"}})");
  ASSERT_THAT(bert, IsOk());
  EXPECT_EQ(bert->vocab_size, 9);
  EXPECT_EQ(bert->hidden_size, 12);
  EXPECT_EQ(bert->num_hidden_layers, 0);
  EXPECT_EQ(bert->num_attention_heads, 3);
  EXPECT_EQ(bert->head_size(), 4);
  EXPECT_EQ(bert->intermediate_size, 5);
  EXPECT_EQ(bert->hidden_act, "relu");
  EXPECT_EQ(bert->hidden_dropout_prob, 0.0);
  EXPECT_EQ(bert->attention_probs_dropout_prob, 1.0);
  EXPECT_EQ(bert->max_position_embeddings, 4);
  EXPECT_EQ(bert->type_vocab_size, 1);
  EXPECT_EQ(bert->initializer_range, 0.5);
  EXPECT_EQ(bert->layer_norm_eps, 1e-5);
  EXPECT_FALSE(bert->pad_token_id.has_value());
  EXPECT_EQ(bert->position_embedding_type, "relative_key");
  EXPECT_FALSE(bert->use_cache);
  EXPECT_TRUE(bert->is_decoder);
  EXPECT_TRUE(bert->add_cross_attention);
  EXPECT_EQ(bert->chunk_size_feed_forward, 2);
  EXPECT_TRUE(bert->output_attentions);
  EXPECT_TRUE(bert->output_hidden_states);
  EXPECT_EQ(bert->num_labels, 3);
  EXPECT_EQ(bert->problem_type, "regression");
  EXPECT_EQ(bert->classifier_dropout, 0.25);
  EXPECT_EQ(bert->classifier_dropout_prob(), 0.25);
}

TEST(BertConfigTest, TakesEveryActivation) {
  for (const ActivationName& activation : ActivationNames()) {
    EXPECT_THAT(From(Json{{"hidden_act", activation.name}}.dump()), IsOk())
        << activation.name;
  }
}

TEST(BertConfigTest, PrunedHeadsAreReadByLayer) {
  absl::StatusOr<BertConfig> bert =
      From(R"({"pruned_heads": {"0": [1, 3, 1], "11": []}})");
  ASSERT_THAT(bert, IsOk());
  EXPECT_THAT(bert->pruned_heads[0], ElementsAre(1, 3));
  EXPECT_EQ(bert->num_heads(0), 10);
  EXPECT_EQ(bert->num_heads(1), 12);
  EXPECT_EQ(bert->num_heads(11), 12);
}

struct BadConfig {
  const char* text;
  const char* message;
};

TEST(BertConfigTest, NamesFileAndAttributeOfWhatMakesNoModel) {
  constexpr BadConfig kBadConfigs[] = {
      {R"({"vocab_size": 0})", "'vocab_size' is 0"},
      {R"({"vocab_size": "9"})", "'vocab_size' is \"9\""},
      {R"({"hidden_size": -8})", "'hidden_size' is -8"},
      {R"({"hidden_size": 769})", "'hidden_size' is 769, but a multiple of"},
      {R"({"hidden_size": 1.5})", "'hidden_size' is 1.5"},
      {R"({"num_hidden_layers": -1})", "'num_hidden_layers' is -1"},
      {R"({"num_attention_heads": 0})", "'num_attention_heads' is 0"},
      {R"({"num_attention_heads": 7})", "the 7 attention heads"},
      {R"({"intermediate_size": null})", "'intermediate_size' is null"},
      {R"({"hidden_act": "swoosh"})", "'hidden_act' is \"swoosh\""},
      {R"({"hidden_act": "swoosh"})", "gelu_new"},
      {R"({"hidden_act": 3})", "'hidden_act' is 3"},
      {R"({"hidden_dropout_prob": 1.5})", "'hidden_dropout_prob' is 1.5"},
      {R"({"max_position_embeddings": 4294967296})",
       "'max_position_embeddings' is 4294967296"},
      {R"({"type_vocab_size": 0})", "'type_vocab_size' is 0"},
      {R"({"layer_norm_eps": "1e-12"})", "'layer_norm_eps' is \"1e-12\""},
      {R"({"pad_token_id": 30522})", "'pad_token_id' is 30522"},
      {R"({"pad_token_id": -30523})", "'pad_token_id' is -30523"},
      {R"({"position_embedding_type": "rotary"})",
       "absolute, relative_key, relative_key_query"},
      {R"({"is_decoder": 1})", "'is_decoder' is 1"},
      {R"({"add_cross_attention": true})", "set is_decoder too"},
      {R"({"chunk_size_feed_forward": -1})", "'chunk_size_feed_forward' is -1"},
      {R"({"problem_type": "clustering"})", "'problem_type' is \"clustering\""},
      {R"({"problem_type": 1})", "'problem_type' is 1"},
      {R"({"classifier_dropout": 1.5})", "'classifier_dropout' is 1.5"},
      {R"({"classifier_dropout": "0"})", "'classifier_dropout' is \"0\""},
      {R"({"num_labels": -1})", "'num_labels' is -1"},
      {R"({"pruned_heads": []})", "'pruned_heads' is []"},
      {R"({"pruned_heads": {"12": [0]}})", "within the model"},
      {R"({"pruned_heads": {"-1": [0]}})", "'pruned_heads'"},
      {R"({"pruned_heads": {"x": [0]}})", "'pruned_heads'"},
      {R"({"pruned_heads": {"0": 3}})", "'pruned_heads'"},
      {R"({"pruned_heads": {"0": [12]}})", "'pruned_heads'"},
      {R"({"pruned_heads": {"0": [-1]}})", "'pruned_heads'"},
      {R"({"pruned_heads": {"0": ["1"]}})", "'pruned_heads'"},
      {R"({"num_attention_heads": 2, "pruned_heads": {"0": [0, 1]}})",
       "'pruned_heads'"},
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
