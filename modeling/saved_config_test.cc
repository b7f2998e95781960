// What PretrainedConfig writes, held to the bytes that transformers 4.34.0
// writes for the same attributes.

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "checkpoint/safetensors_testutil.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/bert/bert_config.h"
#include "modeling/gpt2/gpt2_config.h"
#include "modeling/json_testutil.h"
#include "modeling/llama/llama_config.h"
#include "modeling/pretrained_config.h"
#include "modeling/t5/t5_config.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using checkpoint_testing::MakeTestFolder;
using checkpoint_testing::ReadTestFile;
using checkpoint_testing::WriteTestFile;
using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

const ConfigClass& ClassOf(const std::string& name) {
  static const ConfigClass* const plain = new ConfigClass();
  if (name == "BertConfig") return BertConfigClass();
  if (name == "GPT2Config") return GPT2ConfigClass();
  if (name == "T5Config") return T5ConfigClass();
  if (name == "LlamaConfig") return LlamaConfigClass();
  EXPECT_EQ(name, "PretrainedConfig");
  return *plain;
}

absl::StatusOr<PretrainedConfig> ConfigOf(const Json& golden) {
  absl::StatusOr<PretrainedConfig> config = PretrainedConfig::FromJsonString(
      golden["json"].dump(), "config.json", ClassOf(golden["class"]));
  if (!config.ok()) return config;
  for (const auto& [name, value] : golden["set"].items()) {
    config->Set(name, value);
  }
  return config;
}

// What a constructor derives follows what is set, or called by its standard
// name, here (see the header's `Differs`); there it stays as it first was.
bool DerivesAnew(const Json& golden) {
  return (golden["class"] == "T5Config" &&
          golden["json"].contains("num_hidden_layers")) ||
         (golden["class"] == "LlamaConfig" &&
          golden["set"].contains("num_attention_heads"));
}

TEST(SavedConfigTest, IsThePeersToTheByte) {
  const Json goldens = ReadJsonFile("testdata/save/configs.json");
  std::map<std::string, int> cases;
  for (const Json& golden : goldens) {
    SCOPED_TRACE(absl::StrCat(golden["class"].get<std::string>(), " of ",
                              golden["json"].dump(), " with ",
                              golden["set"].dump()));
    absl::StatusOr<PretrainedConfig> config = ConfigOf(golden);
    ASSERT_THAT(config, IsOk());
    if (DerivesAnew(golden)) continue;
    EXPECT_EQ(config->ToJsonString(), golden["diff"].get<std::string>());
    EXPECT_EQ(config->ToJsonString(/*use_diff=*/false),
              golden["all"].get<std::string>());
    ++cases[golden["class"]];
  }
  EXPECT_EQ(cases.size(), 5u);
  for (const auto& [name, count] : cases) EXPECT_GE(count, 25) << name;
}

// Reading what was written and writing it again changes nothing.
TEST(SavedConfigTest, IsReadBackAsItWasWritten) {
  for (const Json& golden : ReadJsonFile("testdata/save/configs.json")) {
    const std::string text = golden["diff"];
    SCOPED_TRACE(text);
    // Labels that were set later leave the default label2id unwritten; read
    // back, the peer takes it for null, too.
    if (golden["set"].contains("id2label")) continue;
    absl::StatusOr<PretrainedConfig> config = PretrainedConfig::FromJsonString(
        text, "config.json", ClassOf(golden["class"]));
    ASSERT_THAT(config, IsOk());
    EXPECT_EQ(config->ToJsonString(), text);
  }
}

TEST(SavedConfigTest, AConfigOfNoFamilyKeepsItsModelType) {
  absl::StatusOr<PretrainedConfig> config = PretrainedConfig::FromJsonString(
      R"({"model_type": "mamba", "is_decoder": false})", "config.json");
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(config->ToJsonString(), R"({
  "model_type": "mamba",
  "transformers_version": "4.34.0"
}
)");
}

// ImageNet-21k has 21,841 of them.
TEST(SavedConfigTest, ManyLabelsAreWrittenAndReadBack) {
  PretrainedConfig config(BertConfigClass());
  config.Set("num_labels", 21'841);
  EXPECT_EQ(config.num_labels(), 21'841);
  const std::string text = config.ToJsonString();
  EXPECT_THAT(text, HasSubstr("\"21840\": \"LABEL_21840\"\n"));
  EXPECT_THAT(PretrainedConfig::FromJsonString(text, "config.json"), IsOk());
  config.Set("num_labels", 2);
  EXPECT_EQ(config.ToJsonString(),
            PretrainedConfig(BertConfigClass()).ToJsonString());
}

TEST(SavedConfigTest, GoesIntoAFolder) {
  const std::string folder = absl::StrCat(MakeTestFolder("saved"), "/new");
  const PretrainedConfig config(LlamaConfigClass());
  ASSERT_THAT(config.SavePretrained(folder), IsOk());
  EXPECT_EQ(ReadTestFile(absl::StrCat(folder, "/config.json")),
            config.ToJsonString());
  const std::string file = WriteTestFile("saved/file", "");
  EXPECT_THAT(
      config.SavePretrained(file),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is a file")));
}

}  // namespace
}  // namespace pretrained
