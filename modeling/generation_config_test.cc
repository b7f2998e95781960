#include "modeling/generation_config.h"

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
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
using ::absl_testing::IsOkAndHolds;
using ::absl_testing::StatusIs;
using checkpoint_testing::MakeTestFolder;
using checkpoint_testing::ReadTestFile;
using checkpoint_testing::WriteTestFile;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Json = nlohmann::ordered_json;

constexpr char kGoldens[] = "testdata/save/generation_configs.json";

GenerationConfig Parsed(absl::string_view text) {
  absl::StatusOr<GenerationConfig> config =
      GenerationConfig::FromJsonString(text, "dir/generation_config.json");
  EXPECT_THAT(config, IsOk()) << text;
  return config.value_or(GenerationConfig());
}

absl::StatusOr<GenerationConfig> OfModel(absl::string_view text,
                                         ConfigClass config_class = {}) {
  absl::StatusOr<PretrainedConfig> model = PretrainedConfig::FromJsonString(
      text, "dir/config.json", std::move(config_class));
  if (!model.ok()) return model.status();
  return GenerationConfig::FromModelConfig(*model);
}

absl::StatusOr<GenerationConfig> ConfigOf(const Json& golden) {
  static const std::map<std::string, ConfigClass>* const classes =
      new std::map<std::string, ConfigClass>{
          {"PretrainedConfig", ConfigClass()},
          {"BertConfig", BertConfigClass()},
          {"GPT2Config", GPT2ConfigClass()},
          {"T5Config", T5ConfigClass()},
          {"LlamaConfig", LlamaConfigClass()}};
  const std::string text = golden["json"].dump();
  if (!golden.contains("from_model_config")) {
    return GenerationConfig::FromJsonString(text, "generation_config.json");
  }
  return OfModel(text, classes->at(golden["from_model_config"]));
}

TEST(GenerationConfigTest, IsThePeersToTheByte) {
  int read = 0, refused = 0, invalid = 0;
  for (const Json& golden : ReadJsonFile(kGoldens)) {
    SCOPED_TRACE(golden.dump());
    absl::StatusOr<GenerationConfig> config = ConfigOf(golden);
    if (golden.contains("raises")) {
      EXPECT_THAT(config, StatusIs(absl::StatusCode::kInvalidArgument));
      ++refused;
      continue;
    }
    ASSERT_THAT(config, IsOk());
    EXPECT_EQ(config->ToJsonString(), golden["diff"].get<std::string>());
    EXPECT_EQ(config->ToJsonString(/*use_diff=*/false),
              golden["all"].get<std::string>());
    const bool valid = golden["is_valid"];
    EXPECT_EQ(config->CheckSavable().ok(), valid) << config->CheckSavable();
    ++read;
    invalid += !valid;
  }
  EXPECT_GE(read, 30);
  EXPECT_GE(refused, 10);
  EXPECT_GE(invalid, 10);
}

// Reading what was written and writing it again changes nothing.
TEST(GenerationConfigTest, IsReadBackAsItWasWritten) {
  for (const Json& golden : ReadJsonFile(kGoldens)) {
    // What FromModelConfig() made need not be valid.
    if (!golden.value("is_valid", false)) continue;
    for (const char* written : {"diff", "all"}) {
      SCOPED_TRACE(golden[written]);
      const GenerationConfig config =
          Parsed(golden[written].get<std::string>());
      EXPECT_EQ(config.ToJsonString(), golden["diff"].get<std::string>());
    }
  }
}

TEST(GenerationConfigTest, FileComesBeforeDefaultAndNullIsAValue) {
  GenerationConfig config =
      Parsed(R"({"max_length": 30, "use_cache": null, "mine": [1]})");
  EXPECT_THAT(config.GetInt("max_length"), IsOkAndHolds(30));
  EXPECT_THAT(config.GetInt("top_k"), IsOkAndHolds(50));
  EXPECT_TRUE(config.Get("use_cache").is_null());
  EXPECT_EQ(config.Get("mine").dump(), "[1]");
  EXPECT_TRUE(config.Get("absent").is_null());
  EXPECT_TRUE(config.IsSet("use_cache"));
  EXPECT_FALSE(config.IsSet("top_k"));
  EXPECT_TRUE(config.HasDefault("top_k"));
  EXPECT_FALSE(config.HasDefault("mine"));
  config.Set("top_k", 3);
  EXPECT_TRUE(config.IsSet("top_k"));
  EXPECT_THAT(config.GetInt("top_k"), IsOkAndHolds(3));
  EXPECT_EQ(config.file_name(), "dir/generation_config.json");
}

TEST(GenerationConfigTest, GettersTakeWhatFits) {
  const GenerationConfig config =
      Parsed(R"({"do_sample": true, "temperature": 2, "bos_token_id": 1,
                 "eos_token_id": [2, 50], "note": "x"})");
  EXPECT_THAT(config.GetBool("do_sample"), IsOkAndHolds(true));
  EXPECT_THAT(config.GetDouble("temperature"), IsOkAndHolds(2.0));
  EXPECT_THAT(config.GetString("note"), IsOkAndHolds("x"));
  EXPECT_THAT(config.GetOptionalInt("bos_token_id"), IsOkAndHolds(1));
  EXPECT_THAT(config.GetOptionalInt("pad_token_id"),
              IsOkAndHolds(std::nullopt));
  EXPECT_THAT(config.GetInts("eos_token_id"), IsOkAndHolds(ElementsAre(2, 50)));
  EXPECT_THAT(config.GetInts("bos_token_id"), IsOkAndHolds(ElementsAre(1)));
  EXPECT_THAT(config.GetInts("pad_token_id"), IsOkAndHolds(IsEmpty()));
}

TEST(GenerationConfigTest, GettersNameFileKeyValueAndWhatIsExpected) {
  const GenerationConfig config = Parsed(
      R"({"max_length": "20", "eos_token_id": [1, "2"], "use_cache": 1,
          "repetition_penalty": true, "min_length": 18446744073709551615})");
  const auto is_bad = [](absl::string_view found, absl::string_view expected) {
    return StatusIs(absl::StatusCode::kInvalidArgument,
                    AllOf(HasSubstr("dir/generation_config.json: "),
                          HasSubstr(found), HasSubstr(expected)));
  };
  EXPECT_THAT(config.GetInt("max_length"),
              is_bad("'max_length' is \"20\"", "an integer is expected"));
  EXPECT_THAT(config.GetOptionalInt("max_length"), is_bad("\"20\"", "integer"));
  EXPECT_THAT(config.GetInt("min_length"),
              is_bad("'min_length' is 18446744073709551615", "64-bit integer"));
  EXPECT_THAT(config.GetInts("eos_token_id"),
              is_bad("'eos_token_id' is [1,\"2\"]", "a list of 64-bit"));
  EXPECT_THAT(config.GetBool("use_cache"), is_bad("is 1", "true or false"));
  EXPECT_THAT(config.GetDouble("repetition_penalty"),
              is_bad("is true", "a number is expected"));
  EXPECT_THAT(config.GetString("top_k"), is_bad("is 50", "a string"));
}

struct Contradiction {
  const char* text;
  const char* message;
};

// Beyond what the golden data has: types that 4.34 fails on as well.
constexpr Contradiction kContradictions[] = {
    {R"({"early_stopping": "sometimes"})",
     "'early_stopping' is \"sometimes\", but true, false or \"never\""},
    {R"({"early_stopping": 2})", "'early_stopping' is 2"},
    {R"({"early_stopping": [true]})", "'early_stopping' is [true]"},
    {R"({"torch_dtype": 16})", "'torch_dtype' is 16, but the name of a dtype"},
    {R"({"num_beams": 2, "constraints": [], "do_sample": true})",
     "'do_sample' is true, but beams under 'constraints'"},
    {R"({"num_beams": 2, "constraints": [], "num_beam_groups": 2})",
     "'num_beam_groups' is 2, but beams under 'constraints'"},
    {R"({"num_beams": 2, "diversity_penalty": 1, "do_sample": true})",
     "'do_sample' is true, but beams in groups"},
    {R"({"num_beams": 3, "num_beam_groups": 2, "diversity_penalty": 1})",
     "'num_beams' is 3, but a multiple of 'num_beam_groups', 2, is expected"},
    {R"({"num_beams": 3, "num_beam_groups": 0})", "'num_beam_groups', 0,"},
    {R"({"num_beams": 3, "num_beam_groups": null})", "'num_beam_groups', null"},
    {R"({"num_beams": "4", "num_beam_groups": 2})", "'num_beams' is \"4\""},
    {R"({"num_beams": 9007199254740993, "num_beam_groups": 2})",
     "'num_beams' is 9007199254740993, but a multiple"},
    {R"({"num_beams": 2, "num_beam_groups": 2})",
     "'diversity_penalty' is 0.0, but groups of beams"},
    {R"({"num_return_sequences": 2})",
     "'num_return_sequences' is 2, but greedy search finds 1"},
    {R"({"num_return_sequences": null})", "'num_return_sequences' is null"},
    {R"({"num_beams": 2, "num_return_sequences": 3})",
     "'num_return_sequences' is 3, but at most 'num_beams', 2, is expected"},
    {R"({"num_beams": 2, "num_return_sequences": null})",
     "'num_return_sequences' is null, but at most"},
    {R"({"num_beams": null, "num_return_sequences": 3})",
     "'num_beams' is null, but a number is expected"},
};

TEST(GenerationConfigTest, RefusesValuesThatContradictOneAnother) {
  for (const Contradiction& bad : kContradictions) {
    SCOPED_TRACE(bad.text);
    const auto is_bad = [&](absl::string_view file_name) {
      return StatusIs(absl::StatusCode::kInvalidArgument,
                      AllOf(HasSubstr(file_name), HasSubstr(bad.message)));
    };
    EXPECT_THAT(GenerationConfig::FromJsonString(bad.text, "a/generation.json"),
                is_bad("a/generation.json: "));
    // Set one by one, they are found later.
    GenerationConfig config;
    const Json attributes = Json::parse(bad.text);
    for (const auto& [name, value] : attributes.items()) {
      config.Set(name, value);
    }
    EXPECT_THAT(config.Validate(), is_bad("generation_config.json: "));
    EXPECT_THAT(config.CheckSavable(), is_bad("generation_config.json: "));
  }
}

TEST(GenerationConfigTest, TakesValuesThatEqualGoodOnesInPython) {
  for (const char* text :
       {R"({"early_stopping": 1.0})", R"({"do_sample": 1, "num_beams": true})",
        R"({"num_beams": 4.0, "num_beam_groups": 2, "diversity_penalty": 1})",
        R"({"num_return_sequences": 1.0})",
        R"({"num_beams": -4, "num_beam_groups": -2, "diversity_penalty": 1})",
        R"({"do_sample": 0, "num_return_sequences": "many"})",
        R"({"num_beams": "many"})"}) {
    EXPECT_THAT(Parsed(text).Validate(), IsOk()) << text;
  }
}

TEST(GenerationConfigTest, WarnsOfWhatCountsOnlyWhenSampling) {
  GenerationConfig config =
      Parsed(R"({"temperature": 0.5, "top_p": 1, "top_k": 4})");
  EXPECT_THAT(
      config.Warnings(),
      ElementsAre("dir/generation_config.json: 'temperature' is 0.5, but "
                  "counts only when sampling; set 'do_sample', or unset it",
                  HasSubstr("'top_k' is 4")));
  EXPECT_THAT(config.Validate(), IsOk());
  EXPECT_THAT(config.CheckSavable(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("'temperature'"), HasSubstr("'top_k'"),
                             HasSubstr("\n"))));
  config.Set("penalty_alpha", 0.6);
  EXPECT_THAT(config.Warnings(), ElementsAre(HasSubstr("'temperature'")));
  config.Set("do_sample", 0);  // Not false itself, which 4.34 asks for.
  EXPECT_THAT(config.CheckSavable(), IsOk());
}

TEST(GenerationConfigTest, WarnsOfWhatCountsOnlyWithSeveralBeams) {
  GenerationConfig config =
      Parsed(R"({"early_stopping": 0, "length_penalty": 2.0,
                 "constraints": [], "diversity_penalty": false})");
  EXPECT_THAT(config.Warnings(),
              ElementsAre(HasSubstr("'early_stopping' is 0, but counts only "
                                    "with several beams"),
                          HasSubstr("'length_penalty' is 2.0"),
                          HasSubstr("'constraints' is []")));
  config.Set("num_beams", 2);
  EXPECT_THAT(config.Warnings(), IsEmpty());
  EXPECT_THAT(config.CheckSavable(), IsOk());
}

TEST(GenerationConfigTest, DropsUnknownKeysOfAModelsConfig) {
  const GenerationConfig config =
      Parsed(R"({"_from_model_config": true, "mine": 1, "top_k": 50})");
  EXPECT_FALSE(config.IsSet("mine"));
  EXPECT_TRUE(config.IsSet("top_k"));
  for (const char* text : {R"({"_from_model_config": 0, "mine": 1})",
                           R"({"_from_model_config": "", "mine": 1})",
                           R"({"_from_model_config": [], "mine": 1})",
                           R"({"_from_model_config": null, "mine": 1})"}) {
    EXPECT_TRUE(Parsed(text).IsSet("mine")) << text;
  }
  for (const char* text : {R"({"_from_model_config": 0.5, "mine": 1})",
                           R"({"_from_model_config": "x", "mine": 1})",
                           R"({"_from_model_config": {"a": 1}, "mine": 1})"}) {
    EXPECT_FALSE(Parsed(text).IsSet("mine")) << text;
  }
}

// In a config.json the keys of id2label are integers, and sorted so.
TEST(GenerationConfigTest, SortsEveryKeyAsText) {
  EXPECT_EQ(Parsed(R"({"id2label": {"9": "j", "10": "k"}})").ToJsonString(),
            R"({
  "id2label": {
    "10": "k",
    "9": "j"
  },
  "transformers_version": "4.34.0"
}
)");
}

TEST(GenerationConfigTest, TakesFromInnerConfigsWhatTheModelLeavesAtDefault) {
  absl::StatusOr<GenerationConfig> config = OfModel(
      R"({"max_length": 9, "top_k": 50.0, "num_beams": null,
          "decoder": {"max_length": 10, "top_k": 7, "num_beams": 4, "new": 1,
                      "_from_model_config": false, "bos_token_id": 3},
          "generator": {"bos_token_id": 4, "eos_token_id": [5]},
          "text_config": {"top_k": 8, "num_return_sequences": 3}})");
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(config->ToJsonString(), R"({
  "_from_model_config": true,
  "bos_token_id": 3,
  "eos_token_id": [
    5
  ],
  "max_length": 9,
  "num_beams": null,
  "num_return_sequences": 3,
  "top_k": 7,
  "transformers_version": "4.34.0"
}
)");
  EXPECT_FALSE(config->IsSet("new"));
  // Nobody has looked at the whole yet.
  EXPECT_THAT(config->Validate(), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(GenerationConfigTest, ErrorsAboutAModelsConfigNameItsFile) {
  EXPECT_THAT(OfModel(R"({"num_return_sequences": 2})"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("dir/config.json: 'num_return_sequences'")));
  EXPECT_THAT(OfModel(R"({"decoder": null})"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("dir/config.json: 'decoder' is null, but an "
                                 "object of attributes is expected")));
  EXPECT_THAT(OfModel(R"({"text_config": 3})"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("'text_config' is 3")));
  EXPECT_THAT(OfModel(R"({"decoder": "lstm", "generator": []})"), IsOk());
}

TEST(GenerationConfigTest, RefusesWhatIsNoObject) {
  for (const char* text : {"", "[]", "null", "{", "{\"a\": NaN}", "{} {}"}) {
    EXPECT_THAT(
        GenerationConfig::FromJsonString(text, "dir/generation_config.json"),
        StatusIs(absl::StatusCode::kInvalidArgument,
                 HasSubstr("dir/generation_config.json: ")))
        << text;
  }
}

TEST(GenerationConfigTest, ReadsAFolder) {
  const std::string folder = MakeTestFolder("generation");
  const std::string path = absl::StrCat(folder, "/generation_config.json");
  EXPECT_THAT(GenerationConfig::FromPretrained(folder),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr(path)));
  EXPECT_THAT(GenerationConfig::FromPretrained(absl::StrCat(folder, "/none")),
              StatusIs(absl::StatusCode::kNotFound));
  WriteTestFile("generation/generation_config.json", R"({"top_k": 4})");
  absl::StatusOr<GenerationConfig> config =
      GenerationConfig::FromPretrained(folder);
  ASSERT_THAT(config, IsOk());
  EXPECT_THAT(config->GetInt("top_k"), IsOkAndHolds(4));
  EXPECT_EQ(config->file_name(), path);
  WriteTestFile("generation/generation_config.json", "{\"top_k\": ");
  EXPECT_THAT(GenerationConfig::FromPretrained(folder),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr(path), HasSubstr("not valid JSON"))));
}

TEST(GenerationConfigTest, GoesIntoAFolderIfItIsValid) {
  const std::string folder = absl::StrCat(MakeTestFolder("saved"), "/new");
  const std::string path = absl::StrCat(folder, "/generation_config.json");
  GenerationConfig config;
  config.Set("temperature", 0.5);
  EXPECT_THAT(config.SavePretrained(folder),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("'temperature' is 0.5")));
  EXPECT_FALSE(std::filesystem::exists(folder));
  config.Set("do_sample", true);
  ASSERT_THAT(config.SavePretrained(folder), IsOk());
  EXPECT_EQ(ReadTestFile(path), config.ToJsonString());
  const std::string file = WriteTestFile("saved/file", "");
  EXPECT_THAT(
      config.SavePretrained(file),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is a file")));
}

}  // namespace
}  // namespace pretrained
