#include "modeling/config_json.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <initializer_list>
#include <string>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "checkpoint/safetensors_testutil.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
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
using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

struct Comparison {
  const char* a;
  const char* b;
  bool equal;
};

TEST(ConfigJsonTest, ComparesAsPythonDoes) {
  const Comparison comparisons[] = {
      {"1", "1.0", true},
      {"1", "true", true},
      {"0.0", "false", true},
      {"0", "null", false},
      {"2", "true", false},
      {"\"1\"", "1", false},
      {"\"a\"", "\"a\"", true},
      {"[]", "{}", false},
      {"[1, 2]", "[1.0, 2]", true},
      {"[1, 2]", "[2, 1]", false},
      {"[1, 2]", "[1]", false},
      {R"({"a": 1, "b": [true]})", R"({"b": [1], "a": 1.0})", true},
      {R"({"a": 1})", R"({"a": 1, "b": 2})", false},
      {R"({"a": 1})", R"({"b": 1})", false},
      // Exactly: a double would take these for the same.
      {"9007199254740993", "9007199254740992.0", false},
      {"18446744073709551615", "18446744073709551614", false},
      {"-1", "18446744073709551615", false},
      {"9223372036854775808", "9223372036854775808.0", true},
  };
  for (const Comparison& c : comparisons) {
    EXPECT_EQ(PythonEqual(Json::parse(c.a), Json::parse(c.b)), c.equal)
        << c.a << " == " << c.b;
    EXPECT_EQ(PythonEqual(Json::parse(c.b), Json::parse(c.a)), c.equal)
        << c.b << " == " << c.a;
  }
}

// What json.dumps(json.loads(..), indent=2, sort_keys=True) gives.
TEST(ConfigJsonTest, WritesAsPythonDoes) {
  EXPECT_EQ(PythonJson(Json::parse(R"({
    "b": [1, -0.0, 1e-5, 1E16, 1e15, 0.1, 1e-12, 100000.0, []],
    "a": {"\u00e9": "\u00e9\ud83d\ude00\u007f\n\"\\/", "Z": null, "{": {}},
    "c": [{"y": true, "x": false}],
    "int": 18446744073709551615
  })")),
            R"({
  "a": {
    "Z": null,
    "{": {},
    "\u00e9": "\u00e9\ud83d\ude00\u007f\n\"\\/"
  },
  "b": [
    1,
    -0.0,
    1e-05,
    1e+16,
    1000000000000000.0,
    0.1,
    1e-12,
    100000.0,
    []
  ],
  "c": [
    {
      "x": false,
      "y": true
    }
  ],
  "int": 18446744073709551615
}
)");
}

TEST(ConfigJsonTest, SortsKeysThatAreIntegersInPythonByNumber) {
  const std::initializer_list<const char*> integer_keyed = {"id2label",
                                                            "pruned_heads"};
  EXPECT_EQ(PythonJson(Json::parse(
                           R"({"id2label": {"10": "k", "9": "j", "-1": "z"},
                    "inner": {"id2label": {"10": 1, "9": 2}},
                    "pruned_heads": {"2": [], "11": []},
                    "words": {"10": 1, "9": 2}})"),
                       integer_keyed),
            R"({
  "id2label": {
    "-1": "z",
    "9": "j",
    "10": "k"
  },
  "inner": {
    "id2label": {
      "10": 1,
      "9": 2
    }
  },
  "pruned_heads": {
    "2": [],
    "11": []
  },
  "words": {
    "10": 1,
    "9": 2
  }
}
)");
  // One that is none makes them all words.
  EXPECT_THAT(
      PythonJson(Json::parse(R"({"id2label": {"9": 1, "a": 2, "10": 3}})"),
                 integer_keyed),
      HasSubstr("\"10\": 3,\n    \"9\": 1,\n    \"a\": 2"));
}

TEST(ConfigJsonTest, WritesAFileIntoAFolderThatNeedNotBeThere) {
  const std::string folder =
      absl::StrCat(MakeTestFolder("config_json"), "/deep/er");
  ASSERT_THAT(WriteConfigFile(folder, "config.json", "{}\n"), IsOk());
  EXPECT_THAT(ReadConfigFile(absl::StrCat(folder, "/config.json")),
              IsOkAndHolds("{}\n"));
  ASSERT_THAT(WriteConfigFile(folder, "config.json", "{\"a\": 1}\n"), IsOk());
  EXPECT_EQ(ReadTestFile(absl::StrCat(folder, "/config.json")), "{\"a\": 1}\n");
}

TEST(ConfigJsonTest, SaysWhyAFileCannotBeWritten) {
  const std::string file = WriteTestFile("config_json_file", "x");
  EXPECT_THAT(WriteConfigFile(file, "config.json", "{}"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr(file), HasSubstr("is a file"))));
  // A folder below a file, which not even root can make.
  EXPECT_THAT(WriteConfigFile(absl::StrCat(file, "/below"), "config.json", ""),
              StatusIs(testing::Ne(absl::StatusCode::kOk),
                       AllOf(HasSubstr(file), HasSubstr("cannot be made"))));
  EXPECT_EQ(ReadTestFile(file), "x");
}

TEST(ConfigJsonTest, ErrorsNameTheFileThatIsMissing) {
  EXPECT_THAT(
      ReadConfigFile("/nowhere/generation_config.json"),
      StatusIs(absl::StatusCode::kNotFound,
               HasSubstr("/nowhere/generation_config.json: there is no such "
                         "file; a model folder holds a generation_config")));
  EXPECT_THAT(ParseConfigObject("[]", "dir/generation_config.json"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("dir/generation_config.json: holds a JSON "
                                 "array")));
}

}  // namespace
}  // namespace pretrained
