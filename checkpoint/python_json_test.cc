#include "checkpoint/python_json.h"

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "checkpoint/safetensors_testutil.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "simdjson.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

using checkpoint_testing::ReadTestFile;

std::string Written(const std::string& text, const PythonJsonOptions& options) {
  simdjson::dom::parser parser;
  simdjson::dom::element value;
  EXPECT_EQ(parser.parse(text).get(value), simdjson::SUCCESS) << text;
  std::string out;
  AppendPythonJson(value, options, out);
  return out;
}

// Strings in every script and of control characters, floats of any bits,
// nested containers.
TEST(PythonJsonTest, WritesWhatPythonWrites) {
  const nlohmann::json table = nlohmann::json::parse(
      ReadTestFile("checkpoint/testdata/python_json.json"), nullptr, false);
  ASSERT_EQ(table.size(), 300);
  for (const nlohmann::json& row : table) {
    const std::string text = row["text"];
    EXPECT_EQ(Written(text, {}), row["plain"].get<std::string>());
    EXPECT_EQ(Written(text, {.indent = 2, .sort_keys = true}),
              row["sorted"].get<std::string>());
  }
}

TEST(PythonJsonTest, WritesNumbersInPythonsShortestForm) {
  EXPECT_EQ(Written("[1.50, 1E5, -0, -0.0, 1e16, 0.00001]", {}),
            "[1.5, 100000.0, 0, -0.0, 1e+16, 1e-05]");
  EXPECT_EQ(PythonFloat(24.125), "24.125");
  EXPECT_EQ(PythonFloat(-1e-4), "-0.0001");
  EXPECT_EQ(PythonFloat(1e15), "1000000000000000.0");
}

TEST(PythonJsonTest, IndentsFromTheLevelItIsGiven) {
  EXPECT_EQ(Written(R"({"b":[],"a":{"c":1}})",
                    {.indent = 2, .sort_keys = true, .level = 1}),
            "{\n    \"a\": {\n      \"c\": 1\n    },\n    \"b\": []\n  }");
}

TEST(PythonJsonTest, FindsAKeyThatOccursTwiceAnywhere) {
  const auto duplicate = [](const std::string& text) {
    simdjson::dom::parser parser;
    simdjson::dom::element value;
    EXPECT_EQ(parser.parse(text).get(value), simdjson::SUCCESS) << text;
    return FindDuplicateKey(value);
  };
  EXPECT_EQ(duplicate(R"({"a":1,"b":{"a":2},"c":[{"a":3},{"a":4}]})"),
            std::nullopt);
  EXPECT_EQ(duplicate(R"({"a":1,"a":1})"), "a");
  EXPECT_EQ(duplicate(R"({"x":[0,{"y":{"k":1,"\u006b":2}}]})"), "k");
  EXPECT_EQ(duplicate(R"([1,"a","a"])"), std::nullopt);
}

}  // namespace
}  // namespace checkpoint_internal
}  // namespace pretrained
