#include "modeling/gpt2/gpt2_config.h"

#include <optional>

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

absl::StatusOr<GPT2Config> From(absl::string_view text) {
  absl::StatusOr<PretrainedConfig> config = PretrainedConfig::FromJsonString(
      text, "dir/config.json", GPT2ConfigClass());
  if (!config.ok()) return config.status();
  return GPT2Config::From(*config);
}

TEST(GPT2ConfigTest, HasTheDefaultsOfThePeer) {
  const Json golden = ReadJsonFile("testdata/gpt2/defaults.json");
  const PretrainedConfig config(GPT2ConfigClass());
  for (const auto& [name, value] : golden.items()) {
    if (name == "model_type") continue;
    EXPECT_TRUE(config.HasDefault(name)) << name;
    EXPECT_EQ(config.Get(name), value) << name;
  }
  EXPECT_EQ(GPT2ConfigClass().model_type, golden["model_type"]);
  for (const auto& [name, value] : GPT2ConfigClass().defaults.items()) {
    EXPECT_TRUE(golden.contains(name)) << name << " is not the peer's";
  }
}

TEST(GPT2ConfigTest, AnEmptyConfigIsTheDefaultOne) {
  absl::StatusOr<GPT2Config> gpt2 = From("{}");
  ASSERT_THAT(gpt2, IsOk());
  EXPECT_EQ(gpt2->vocab_size, 50257);
  EXPECT_EQ(gpt2->n_positions, 1024);
  EXPECT_EQ(gpt2->n_embd, 768);
  EXPECT_EQ(gpt2->n_layer, 12);
  EXPECT_EQ(gpt2->n_head, 12);
  EXPECT_EQ(gpt2->n_inner, std::nullopt);
  EXPECT_EQ(gpt2->inner_size(), 4 * 768);
  EXPECT_EQ(gpt2->head_size(), 64);
  EXPECT_EQ(gpt2->activation_function, "gelu_new");
  EXPECT_EQ(gpt2->layer_norm_epsilon, 1e-5);
  EXPECT_TRUE(gpt2->scale_attn_weights);
  EXPECT_TRUE(gpt2->use_cache);
  EXPECT_FALSE(gpt2->add_cross_attention);
  EXPECT_EQ(gpt2->pad_token_id, std::nullopt);
  EXPECT_EQ(gpt2->num_labels, 2);
  EXPECT_EQ(gpt2->problem_type, "");
}

TEST(GPT2ConfigTest, ReadsEveryAttribute) {
  absl::StatusOr<GPT2Config> gpt2 = From(R"({
      "vocab_size": 9, "n_positions": 4, "n_embd": 12, "n_layer": 0,
      "n_head": 3, "n_inner": 5, "activation_function": "relu",
      "resid_pdrop": 0, "embd_pdrop": 1, "attn_pdrop": 0.5,
      "layer_norm_epsilon": 1e-3, "initializer_range": 0.5,
      "scale_attn_weights": false, "scale_attn_by_inverse_layer_idx": true,
      "reorder_and_upcast_attn": true, "use_cache": false,
      "add_cross_attention": true, "output_attentions": true,
      "output_hidden_states": true, "pad_token_id": 7, "num_labels": 5,
      "problem_type": "regression"})");
  ASSERT_THAT(gpt2, IsOk());
  EXPECT_EQ(gpt2->vocab_size, 9);
  EXPECT_EQ(gpt2->n_positions, 4);
  EXPECT_EQ(gpt2->n_embd, 12);
  EXPECT_EQ(gpt2->n_layer, 0);
  EXPECT_EQ(gpt2->n_head, 3);
  EXPECT_EQ(gpt2->inner_size(), 5);
  EXPECT_EQ(gpt2->activation_function, "relu");
  EXPECT_EQ(gpt2->resid_pdrop, 0);
  EXPECT_EQ(gpt2->embd_pdrop, 1);
  EXPECT_EQ(gpt2->attn_pdrop, 0.5);
  EXPECT_EQ(gpt2->layer_norm_epsilon, 1e-3);
  EXPECT_EQ(gpt2->initializer_range, 0.5);
  EXPECT_FALSE(gpt2->scale_attn_weights);
  EXPECT_TRUE(gpt2->scale_attn_by_inverse_layer_idx);
  EXPECT_TRUE(gpt2->reorder_and_upcast_attn);
  EXPECT_FALSE(gpt2->use_cache);
  EXPECT_TRUE(gpt2->add_cross_attention);
  EXPECT_TRUE(gpt2->output_attentions);
  EXPECT_TRUE(gpt2->output_hidden_states);
  EXPECT_EQ(gpt2->pad_token_id, 7);
  EXPECT_EQ(gpt2->num_labels, 5);
  EXPECT_EQ(gpt2->problem_type, "regression");
}

TEST(GPT2ConfigTest, KnowsTheStandardNamesToo) {
  absl::StatusOr<GPT2Config> gpt2 = From(R"({
      "hidden_size": 12, "max_position_embeddings": 5,
      "num_attention_heads": 2, "num_hidden_layers": 3})");
  ASSERT_THAT(gpt2, IsOk());
  EXPECT_EQ(gpt2->n_embd, 12);
  EXPECT_EQ(gpt2->n_positions, 5);
  EXPECT_EQ(gpt2->n_head, 2);
  EXPECT_EQ(gpt2->n_layer, 3);
}

struct BadConfig {
  const char* json;
  const char* message;
};

constexpr BadConfig kBadConfigs[] = {
    {R"({"vocab_size": 0})", "'vocab_size' is 0"},
    {R"({"n_positions": "many"})", "'n_positions' is \"many\""},
    {R"({"n_layer": -1})", "'n_layer' is -1"},
    {R"({"n_embd": 30})", "'n_embd' is 30, but a multiple of the 12"},
    {R"({"hidden_size": 30})", "a multiple of the 12"},
    {R"({"n_head": 0})", "'n_head' is 0"},
    {R"({"n_inner": 0})", "'n_inner' is 0"},
    {R"({"n_inner": 2.5})", "'n_inner' is 2.5"},
    {R"({"activation_function": "swoosh"})", "gelu_new"},
    {R"({"resid_pdrop": 1.5})", "'resid_pdrop' is 1.5"},
    {R"({"attn_pdrop": -0.1})", "'attn_pdrop' is -0.1"},
    {R"({"embd_pdrop": null})", "'embd_pdrop' is null"},
    {R"({"layer_norm_epsilon": "small"})", "'layer_norm_epsilon'"},
    {R"({"scale_attn_weights": 1})", "'scale_attn_weights' is 1"},
    {R"({"pad_token_id": "<pad>"})", "'pad_token_id'"},
    {R"({"problem_type": "riddle"})", "multi_label_classification"},
    {R"({"num_labels": -3})", "'num_labels' is -3"},
    {R"({"pruned_heads": {"12": [1]}})", "'pruned_heads' is {\"12\":[1]}"},
};

TEST(GPT2ConfigTest, RefusesWhatMakesNoModel) {
  for (const BadConfig& bad : kBadConfigs) {
    EXPECT_THAT(From(bad.json), StatusIs(absl::StatusCode::kInvalidArgument,
                                         AllOf(HasSubstr("dir/config.json"),
                                               HasSubstr(bad.message))))
        << bad.json;
  }
}

}  // namespace
}  // namespace pretrained
