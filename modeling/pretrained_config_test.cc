#include "modeling/pretrained_config.h"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "absl/log/scoped_mock_log.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "checkpoint/safetensors_testutil.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/json_testutil.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::IsOkAndHolds;
using ::absl_testing::StatusIs;
using checkpoint_testing::MakeTestFolder;
using checkpoint_testing::WriteTestFile;
using ::testing::_;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Json = nlohmann::ordered_json;

PretrainedConfig Parsed(absl::string_view text, ConfigClass config_class = {}) {
  absl::StatusOr<PretrainedConfig> config = PretrainedConfig::FromJsonString(
      text, "dir/config.json", std::move(config_class));
  EXPECT_THAT(config, IsOk()) << text;
  return config.value_or(PretrainedConfig());
}

// GPT-2's, as far as names go.
ConfigClass RenamingClass() {
  return {.model_type = "gpt2",
          .defaults = {{"n_embd", 768}, {"n_head", 12}, {"n_layer", 12}},
          .attribute_map = {{"hidden_size", "n_embd"},
                            {"num_attention_heads", "n_head"},
                            {"num_hidden_layers", "n_layer"}}};
}

TEST(PretrainedConfigTest, HasTheDefaultsOfThePeerAndNoOthers) {
  const Json golden =
      ReadJsonFile("testdata/config/defaults.json")["PretrainedConfig"];
  const PretrainedConfig config;
  for (const auto& [name, value] : golden.items()) {
    if (name == "model_type") continue;  // "" in the peer; ours is absent.
    EXPECT_TRUE(config.HasDefault(name)) << name;
    EXPECT_FALSE(config.IsSet(name)) << name;
    EXPECT_EQ(config.Get(name), value) << name;
  }
  EXPECT_EQ(config.model_type(), golden["model_type"]);
  EXPECT_THAT(config.architectures(), IsEmpty());
  EXPECT_FALSE(config.HasDefault("hidden_size"));
  EXPECT_TRUE(config.Get("hidden_size").is_null());
  EXPECT_EQ(config.StoredJsonString(), "{}\n");
}

TEST(PretrainedConfigTest, KeepsUnknownKeysValuesAndOrder) {
  const std::string text = R"({
  "zeta": {
    "b": [
      1,
      -2.5,
      null
    ],
    "a": "\u00e9\n"
  },
  "layer_norm_eps": 1e-12,
  "vocab_size": 30522,
  "alpha": true,
  "huge": 9223372036854775807,
  "small": -9223372036854775808,
  "unsigned": 18446744073709551615,
  "model_type": "bert"
}
)";
  EXPECT_EQ(Parsed(text).StoredJsonString(), text);
}

TEST(PretrainedConfigTest, SettingReplacesInPlaceAndAddsAtTheEnd) {
  PretrainedConfig config = Parsed(R"({"b": 1, "a": 2})");
  config.Set("b", 3);
  config.Set("new", Json::array());
  EXPECT_EQ(Json::parse(config.StoredJsonString()).dump(),
            R"({"b":3,"a":2,"new":[]})");
  config.Set("output_attentions", true);
  EXPECT_THAT(config.GetBool("output_attentions"), IsOkAndHolds(true));
}

TEST(PretrainedConfigTest, FileComesBeforeFamilyAndFamilyBeforeEveryConfig) {
  const ConfigClass family{.model_type = "x",
                           .defaults = {{"size", 5}, {"max_length", 7}}};
  const PretrainedConfig config = Parsed(R"({"size": 6})", family);
  EXPECT_THAT(config.GetInt("size"), IsOkAndHolds(6));
  EXPECT_THAT(config.GetInt("max_length"), IsOkAndHolds(7));
  EXPECT_THAT(config.GetInt("top_k"), IsOkAndHolds(50));
  EXPECT_TRUE(config.HasDefault("size"));
  EXPECT_FALSE(config.IsSet("max_length"));
  // Null is a value: it hides the default.
  EXPECT_TRUE(Parsed(R"({"size": null})", family).Get("size").is_null());
}

TEST(PretrainedConfigTest, StandardNamesReachTheFamilysOwn) {
  PretrainedConfig config =
      Parsed(R"({"n_embd": 32, "num_hidden_layers": 3})", RenamingClass());
  EXPECT_THAT(config.GetInt("hidden_size"), IsOkAndHolds(32));
  EXPECT_THAT(config.GetInt("n_embd"), IsOkAndHolds(32));
  EXPECT_THAT(config.GetInt("num_attention_heads"), IsOkAndHolds(12));
  EXPECT_TRUE(config.IsSet("hidden_size"));
  EXPECT_TRUE(config.HasDefault("hidden_size"));
  config.Set("hidden_size", 64);
  EXPECT_THAT(config.GetInt("n_embd"), IsOkAndHolds(64));
  EXPECT_FALSE(Json::parse(config.StoredJsonString()).contains("hidden_size"));
  config.Set("n_head", "many");
  EXPECT_THAT(config.GetInt("num_attention_heads"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("'n_head' is \"many\"")));
}

TEST(PretrainedConfigTest, GivenAnotherClassItKeepsItsValues) {
  const PretrainedConfig plain =
      Parsed(R"({"hidden_size": 32, "unknown": [1]})");
  const PretrainedConfig config = plain.WithClass(RenamingClass());
  EXPECT_THAT(config.GetInt("n_embd"), IsOkAndHolds(32));
  EXPECT_THAT(config.GetInt("num_hidden_layers"), IsOkAndHolds(12));
  EXPECT_EQ(config.Get("unknown").dump(), "[1]");
  EXPECT_EQ(config.file_name(), plain.file_name());
}

// 4.34's attribute map acts on reading too: a file may use either name.
TEST(PretrainedConfigTest, FilesMaySpellTheStandardName) {
  const PretrainedConfig config =
      Parsed(R"({"num_hidden_layers": 3})", RenamingClass());
  EXPECT_THAT(config.GetInt("n_layer"), IsOkAndHolds(3));
  EXPECT_THAT(config.GetInt("num_hidden_layers"), IsOkAndHolds(3));
}

TEST(PretrainedConfigTest, GettersNameFileKeyValueAndWhatIsExpected) {
  const PretrainedConfig config = Parsed(
      R"({"s": "12", "f": 1.5, "b": true, "n": null,
          "over": 18446744073709551615, "l": [1], "o": {"k": "vvvvvvvvvvvvvvvvv"},
          "mixed": ["a", 2]})");
  const auto is_bad = [](absl::string_view found, absl::string_view expected) {
    return StatusIs(absl::StatusCode::kInvalidArgument,
                    AllOf(HasSubstr("dir/config.json: "), HasSubstr(found),
                          HasSubstr(expected)));
  };
  EXPECT_THAT(config.GetInt("s"), is_bad("'s' is \"12\"", "an integer"));
  EXPECT_THAT(config.GetInt("f"), is_bad("'f' is 1.5", "an integer"));
  EXPECT_THAT(config.GetInt("b"), is_bad("'b' is true", "an integer"));
  EXPECT_THAT(config.GetInt("absent"), is_bad("'absent' is null", "integer"));
  EXPECT_THAT(config.GetInt("over"),
              is_bad("'over' is 18446744073709551615", "64-bit integer"));
  EXPECT_THAT(config.GetDouble("s"), is_bad("'s' is", "a number"));
  EXPECT_THAT(config.GetBool("f"), is_bad("'f' is 1.5", "true or false"));
  EXPECT_THAT(config.GetString("l"), is_bad("'l' is [1]", "a string"));
  EXPECT_THAT(config.GetStrings("mixed"),
              is_bad("'mixed' is", "a list of strings"));
  EXPECT_THAT(config.GetOptionalInt("s"), is_bad("'s' is", "an integer"));
  EXPECT_THAT(config.GetString("o"), is_bad(R"({"k":"vvv)", "a string"));
}

TEST(PretrainedConfigTest, GettersTakeWhatFits) {
  const PretrainedConfig config =
      Parsed(R"({"i": -3, "f": 0.5, "s": "x", "n": null, "list": ["a", "b"]})");
  EXPECT_THAT(config.GetInt("i"), IsOkAndHolds(-3));
  EXPECT_THAT(config.GetDouble("i"), IsOkAndHolds(-3.0));
  EXPECT_THAT(config.GetDouble("f"), IsOkAndHolds(0.5));
  EXPECT_THAT(config.GetString("s"), IsOkAndHolds("x"));
  EXPECT_THAT(config.GetStrings("s"), IsOkAndHolds(ElementsAre("x")));
  EXPECT_THAT(config.GetStrings("list"), IsOkAndHolds(ElementsAre("a", "b")));
  EXPECT_THAT(config.GetStrings("n"), IsOkAndHolds(IsEmpty()));
  EXPECT_THAT(config.GetOptionalInt("n"), IsOkAndHolds(std::nullopt));
  EXPECT_THAT(config.GetOptionalInt("i"), IsOkAndHolds(-3));
}

TEST(PretrainedConfigTest, ErrorsShowLongValuesCutShort) {
  const PretrainedConfig config =
      Parsed(absl::StrCat(R"({"s": ")", std::string(100'000, 'x'), "\"}"));
  const absl::Status status = config.GetInt("s").status();
  EXPECT_THAT(status.message(), HasSubstr("xxx..."));
  EXPECT_LT(status.message().size(), 300u);
}

struct BadText {
  const char* what;
  std::string text;
  const char* message;
};

TEST(PretrainedConfigTest, RefusesWhatIsNoObject) {
  const BadText bad_texts[] = {
      {"nothing", "", "not valid JSON"},
      {"half", R"({"a": [1, 2)", "not valid JSON"},
      {"words", "oops", "not valid JSON"},
      {"trailing text", "{} {}", "not valid JSON"},
      {"a trailing comma", R"({"a": 1,})", "not valid JSON"},
      {"not a number", R"({"a": NaN})", "not valid JSON"},
      {"infinity", R"({"a": -Infinity})", "not valid JSON"},
      {"a number beyond a double", R"({"a": 1e400})", "not valid JSON"},
      {"not UTF-8", "{\"a\": \"\xff\"}", "not valid JSON"},
      {"an array", R"([{"a": 1}])", "a JSON array"},
      {"a number", "12", "a JSON number"},
      {"a string", "\"config\"", "a JSON string"},
      {"null", "null", "a JSON null"},
      {"deep arrays",
       absl::StrCat(R"({"a": )", std::string(10'000, '['),
                    std::string(10'000, ']'), "}"),
       "nested more than 256 levels"},
      {"deep arrays that never close",
       absl::StrCat(R"({"a": )", std::string(1'000'000, '[')),
       "nested more than 256 levels"},
  };
  for (const BadText& bad : bad_texts) {
    SCOPED_TRACE(bad.what);
    EXPECT_THAT(
        PretrainedConfig::FromJsonString(bad.text, "dir/config.json"),
        StatusIs(absl::StatusCode::kInvalidArgument,
                 AllOf(HasSubstr("dir/config.json"), HasSubstr(bad.message))));
  }
}

TEST(PretrainedConfigTest, RefusesEveryPrefixOfAGoodConfig) {
  const std::string text = R"({"vocab_size": 30522, "list": ["a", 1e-5]})";
  for (size_t n = 0; n < text.size(); ++n) {
    EXPECT_THAT(
        PretrainedConfig::FromJsonString(text.substr(0, n), "config.json"),
        StatusIs(absl::StatusCode::kInvalidArgument))
        << "cut after " << n;
  }
}

TEST(PretrainedConfigTest, TakesNestingThatIsMerelyDeep) {
  const std::string text = absl::StrCat(R"({"a": )", std::string(200, '['),
                                        std::string(200, ']'), "}");
  EXPECT_THAT(PretrainedConfig::FromJsonString(text, "config.json"), IsOk());
}

// Searching an object that keeps its order takes time in proportion to its
// size, so that a million keys would take an hour.
TEST(PretrainedConfigTest, RefusesMoreKeysThanItCanSearch) {
  std::string text = "{\"a\": 0";
  for (int i = 0; i < 1'000'000; ++i) absl::StrAppend(&text, ",\"", i, "\":0");
  text += "}";
  EXPECT_THAT(PretrainedConfig::FromJsonString(text, "config.json"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("has an object of 32768 keys")));
}

// As Python's json: the last value, in the place of the first.
TEST(PretrainedConfigTest, TheLastOfDuplicateKeysCounts) {
  const PretrainedConfig config = Parsed(R"({"a": 1, "b": 2, "a": 3})");
  EXPECT_THAT(config.GetInt("a"), IsOkAndHolds(3));
  EXPECT_EQ(Json::parse(config.StoredJsonString()).dump(), R"({"a":3,"b":2})");
}

TEST(PretrainedConfigTest, IntegersBeyond64BitsAreNumbersButNoIntegers) {
  const PretrainedConfig config =
      Parsed(R"({"a": 123456789012345678901234567890})");
  EXPECT_THAT(config.GetInt("a"), StatusIs(absl::StatusCode::kInvalidArgument,
                                           HasSubstr("'a' is 1.2345678901")));
  EXPECT_THAT(config.GetDouble("a"), IsOkAndHolds(123456789012345678901e9));
}

struct Labels {
  const char* text;
  int64_t count;
};

TEST(PretrainedConfigTest, CountsLabelsAsThePeerDoes) {
  const Labels cases[] = {
      {"{}", 2},
      {R"({"num_labels": 5})", 5},
      {R"({"id2label": {"0": "a", "1": "b", "2": "c"}})", 3},
      {R"({"id2label": {"0": "a"}, "num_labels": 5})", 1},
      {R"({"id2label": null, "num_labels": 5})", 5},
  };
  for (const Labels& labels : cases) {
    EXPECT_EQ(Parsed(labels.text).num_labels(), labels.count) << labels.text;
  }
}

TEST(PretrainedConfigTest, SettingNumLabelsMakesLabelsOfThatNumber) {
  PretrainedConfig config = Parsed(R"({"id2label": {"0": "no", "1": "yes"}})");
  EXPECT_TRUE(config.HasDefault("num_labels"));
  config.Set("num_labels", 2);
  EXPECT_EQ(config.Get("id2label").dump(), R"({"0":"no","1":"yes"})");
  config.Set("num_labels", 3);
  EXPECT_EQ(config.num_labels(), 3);
  EXPECT_EQ(config.Get("id2label").dump(),
            R"({"0":"LABEL_0","1":"LABEL_1","2":"LABEL_2"})");
  EXPECT_EQ(config.Get("label2id").dump(),
            R"({"LABEL_0":0,"LABEL_1":1,"LABEL_2":2})");
}

TEST(PretrainedConfigTest, ReadsAFolder) {
  const std::string folder = MakeTestFolder("good");
  WriteTestFile("good/config.json", R"({"model_type": "bert",
      "architectures": ["BertForMaskedLM", "BertModel"]})");
  absl::StatusOr<PretrainedConfig> config =
      PretrainedConfig::FromPretrained(folder);
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(config->model_type(), "bert");
  EXPECT_THAT(config->architectures(),
              ElementsAre("BertForMaskedLM", "BertModel"));
  EXPECT_EQ(config->file_name(), absl::StrCat(folder, "/config.json"));
}

TEST(PretrainedConfigTest, ReadsAFileOfAnyName) {
  const std::string path = WriteTestFile("my_config", R"({"a": 1})");
  absl::StatusOr<PretrainedConfig> config =
      PretrainedConfig::FromPretrained(path);
  ASSERT_THAT(config, IsOk());
  EXPECT_THAT(config->GetInt("a"), IsOkAndHolds(1));
  EXPECT_EQ(config->file_name(), path);
}

TEST(PretrainedConfigTest, WarnsOfAnotherModelType) {
  const std::string bert = WriteTestFile("bert", R"({"model_type": "bert"})");
  const std::string gpt2 = WriteTestFile("gpt2", R"({"model_type": "gpt2"})");
  const std::string none = WriteTestFile("none", "{}");
  absl::ScopedMockLog log;
  EXPECT_CALL(log, Log(absl::LogSeverity::kWarning, _,
                       AllOf(HasSubstr(bert), HasSubstr("is \"bert\""),
                             HasSubstr("'gpt2'"))));
  log.StartCapturingLogs();
  EXPECT_THAT(PretrainedConfig::FromPretrained(bert, RenamingClass()), IsOk());
  for (const std::string& path : {gpt2, none}) {
    EXPECT_THAT(PretrainedConfig::FromPretrained(path, RenamingClass()),
                IsOk());
  }
  EXPECT_THAT(PretrainedConfig::FromPretrained(bert), IsOk());
}

TEST(PretrainedConfigTest, NameOrPathIsTheNameOfAnAttribute) {
  PretrainedConfig config = Parsed(R"({"name_or_path": "a"})");
  EXPECT_THAT(config.GetString("_name_or_path"), IsOkAndHolds("a"));
  EXPECT_TRUE(config.HasDefault("name_or_path"));
  config.Set("name_or_path", "b");
  EXPECT_THAT(config.GetString("_name_or_path"), IsOkAndHolds("b"));
  EXPECT_THAT(Parsed(R"({"_name_or_path": "b", "name_or_path": "a"})")
                  .GetString("name_or_path"),
              IsOkAndHolds("b"));
}

TEST(PretrainedConfigTest, SaysWhatIsWrongWithAFolder) {
  const std::string empty = MakeTestFolder("empty");
  EXPECT_THAT(PretrainedConfig::FromPretrained(empty),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr(absl::StrCat(empty, "/config.json")),
                             HasSubstr("no such file"))));
  EXPECT_THAT(
      PretrainedConfig::FromPretrained(absl::StrCat(empty, "/absent")),
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("no such folder")));
  const std::string file = WriteTestFile("file", "{}");
  EXPECT_THAT(
      PretrainedConfig::FromPretrained(absl::StrCat(file, "/below")),
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("no such folder")));
  const std::string nested = MakeTestFolder("nested");
  MakeTestFolder("nested/config.json");
  EXPECT_THAT(PretrainedConfig::FromPretrained(nested),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("not a regular file")));
}

// A file that opens, but whose reading fails, also for root.
TEST(PretrainedConfigTest, AFileThatCannotBeReadIsNotTakenForABrokenOne) {
  EXPECT_THAT(PretrainedConfig::FromJsonFile("/proc/self/mem"),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       AllOf(HasSubstr("/proc/self/mem"),
                             HasSubstr("cannot be read"))));
}

TEST(PretrainedConfigTest, RefusesAFileThatIsTooLargeForAConfigUnread) {
  const std::string path = WriteTestFile("large.json", "{}");
  std::filesystem::resize_file(path, int64_t{1} << 40);  // Sparse.
  EXPECT_THAT(PretrainedConfig::FromJsonFile(path),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("1099511627776 bytes are too many")));
  std::filesystem::remove(path);
}

TEST(PretrainedConfigTest, TypesThatAreNotTheirsReadAsNone) {
  const PretrainedConfig config =
      Parsed(R"({"model_type": 3, "architectures": {"a": 1}})");
  EXPECT_EQ(config.model_type(), "");
  EXPECT_THAT(config.architectures(), IsEmpty());
}

}  // namespace
}  // namespace pretrained
