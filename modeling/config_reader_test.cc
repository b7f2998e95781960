#include "modeling/config_reader.h"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/pretrained_config.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

// A config whose attribute "x" is `json`.
PretrainedConfig WithX(absl::string_view json) {
  return *PretrainedConfig::FromJsonString(absl::StrCat("{\"x\": ", json, "}"),
                                           "dir/config.json");
}

TEST(ConfigReaderTest, ReadsWhatFits) {
  const PretrainedConfig config = *PretrainedConfig::FromJsonString(
      R"({"size": 2147483648, "zero": 0, "eps": 1e-12, "whole": 3, "p": 1,
          "flag": true, "text": "t", "choice": "b", "id": -1, "none": null})",
      "config.json");
  int64_t size = 0;
  int64_t zero = 9;
  double eps = 0;
  double whole = 0;
  double p = 0;
  bool flag = false;
  std::string text;
  std::string choice;
  std::optional<int64_t> id;
  std::optional<int64_t> none = 4;
  ConfigReader reader(config);
  reader.Size("size", size);
  reader.Size("zero", zero, 0);
  reader.Number("eps", eps);
  reader.Number("whole", whole);
  reader.Probability("p", p);
  reader.Bool("flag", flag);
  reader.String("text", text);
  reader.OneOf("choice", choice, {"a", "b"});
  reader.OptionalInt("id", id);
  reader.OptionalInt("none", none);
  reader.Require(true, "size", "anything");
  EXPECT_THAT(reader.status(), IsOk());
  EXPECT_EQ(size, int64_t{1} << 31);
  EXPECT_EQ(zero, 0);
  EXPECT_EQ(eps, 1e-12);
  EXPECT_EQ(whole, 3.0);
  EXPECT_EQ(p, 1.0);
  EXPECT_TRUE(flag);
  EXPECT_EQ(text, "t");
  EXPECT_EQ(choice, "b");
  EXPECT_EQ(id, -1);
  EXPECT_EQ(none, std::nullopt);
}

struct BadSize {
  const char* json;
  int64_t minimum;
  const char* message;
};

TEST(ConfigReaderTest, RefusesSizesThatNoTensorHasAndKeepsTheField) {
  constexpr BadSize kBadSizes[] = {
      {"0", 1, "a size from 1 to 2^31"},
      {"-1", 0, "a size from 0 to 2^31"},
      {"-8", 1, "'x' is -8"},
      {"2147483649", 1, "'x' is 2147483649"},
      {"9223372036854775807", 1, "2^31"},
      {"18446744073709551615", 1, "64-bit integer"},
      {"8.0", 1, "an integer"},
      {"\"8\"", 1, "an integer"},
      {"null", 1, "an integer"},
      {"true", 1, "an integer"},
      {"[8]", 1, "an integer"},
  };
  for (const BadSize& bad : kBadSizes) {
    SCOPED_TRACE(bad.json);
    const PretrainedConfig config = WithX(bad.json);
    int64_t size = 77;
    ConfigReader reader(config);
    reader.Size("x", size, bad.minimum);
    EXPECT_FALSE(reader.ok());
    EXPECT_THAT(reader.status(),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("dir/config.json: 'x' is"),
                               HasSubstr(bad.message))));
    EXPECT_EQ(size, 77);
  }
}

TEST(ConfigReaderTest, ProbabilitiesLieBetweenZeroAndOne) {
  for (const char* good : {"0", "0.0", "0.5", "1", "1.0"}) {
    const PretrainedConfig config = WithX(good);
    double p = -1;
    ConfigReader reader(config);
    reader.Probability("x", p);
    EXPECT_THAT(reader.status(), IsOk()) << good;
  }
  for (const char* bad : {"-0.1", "1.5", "\"0.1\"", "null", "1e300"}) {
    const PretrainedConfig config = WithX(bad);
    double p = 0.25;
    ConfigReader reader(config);
    reader.Probability("x", p);
    EXPECT_THAT(reader.status(), StatusIs(absl::StatusCode::kInvalidArgument,
                                          HasSubstr("'x' is")))
        << bad;
  }
}

TEST(ConfigReaderTest, ChoicesAreListedInTheError) {
  const PretrainedConfig config = WithX("\"c\"");
  std::string choice = "a";
  ConfigReader reader(config);
  reader.OneOf("x", choice, {"a", "b"});
  EXPECT_THAT(reader.status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("'x' is \"c\""), HasSubstr("a, b"))));
}

TEST(ConfigReaderTest, TheFirstErrorStays) {
  const PretrainedConfig config = *PretrainedConfig::FromJsonString(
      R"({"first": "a", "second": "b"})", "config.json");
  int64_t size = 0;
  bool flag = false;
  ConfigReader reader(config);
  reader.Size("first", size);
  reader.Bool("second", flag);
  reader.Require(false, "second", "something else is expected");
  EXPECT_THAT(reader.status(), StatusIs(absl::StatusCode::kInvalidArgument,
                                        HasSubstr("'first' is \"a\"")));
}

TEST(ConfigReaderTest, RequireShowsTheValueThatIsThere) {
  const PretrainedConfig config = WithX("12");
  ConfigReader reader(config);
  reader.Require(false, "x", "a multiple of 5 is expected");
  EXPECT_THAT(
      reader.status(),
      StatusIs(
          absl::StatusCode::kInvalidArgument,
          HasSubstr("dir/config.json: 'x' is 12, but a multiple of 5 is")));
}

TEST(ConfigReaderTest, ReadsPrunedHeads) {
  const PretrainedConfig config = *PretrainedConfig::FromJsonString(
      R"({"pruned_heads": {"0": [3, 1], "2": []}})", "config.json");
  std::map<int64_t, std::set<int64_t>> heads;
  ConfigReader reader(config);
  reader.PrunedHeads(3, 4, heads);
  ASSERT_THAT(reader.status(), IsOk());
  EXPECT_EQ(heads, (std::map<int64_t, std::set<int64_t>>{{0, {1, 3}}}));
}

TEST(ConfigReaderTest, PrunedHeadsThatShareAKeyAreThereTogether) {
  const PretrainedConfig config = *PretrainedConfig::FromJsonString(
      R"({"pruned_heads": {"0": [2, 3], "1": [0, 1, 3]}})", "config.json");
  std::map<int64_t, std::set<int64_t>> heads;
  ConfigReader single(config);
  single.PrunedHeads(2, 4, heads);
  EXPECT_THAT(single.status(), IsOk());
  ConfigReader pairs(config);
  pairs.PrunedHeads(2, 4, heads, /*group_size=*/2);
  EXPECT_THAT(pairs.status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("share a key and value, 2 in a row")));
}

TEST(ConfigReaderTest, PrunedHeadsAreThoseOfTheModelAndNotAllOfALayer) {
  for (const char* bad :
       {"[]", R"({"3": [0]})", R"({"-1": [0]})", R"({"x": [0]})", R"({"0": 1})",
        R"({"0": [4]})", R"({"0": [-1]})", R"({"0": ["1"]})",
        R"({"1": [0, 1, 2, 3]})"}) {
    const PretrainedConfig config = *PretrainedConfig::FromJsonString(
        absl::StrCat("{\"pruned_heads\": ", bad, "}"), "config.json");
    std::map<int64_t, std::set<int64_t>> heads;
    ConfigReader reader(config);
    reader.PrunedHeads(3, 4, heads);
    EXPECT_THAT(reader.status(), StatusIs(absl::StatusCode::kInvalidArgument,
                                          HasSubstr("'pruned_heads' is")))
        << bad;
    EXPECT_TRUE(heads.empty());
  }
}

}  // namespace
}  // namespace pretrained
