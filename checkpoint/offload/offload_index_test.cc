#include "checkpoint/offload/offload_index.h"

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "dtypes/dtype.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOkAndHolds;
using ::absl_testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(OffloadIndexTest, ReadsFilesOfItsOwnAndTensorsOfSafetensorsFiles) {
  const std::string json = R"({
    "a.weight": {"dtype": "bfloat16", "shape": [2, 3], "more": {"x": 1}},
    "scalar": {"dtype": "float32", "shape": []},
    "b": {"safetensors_file": "m.safetensors", "weight_name": "x.b",
          "dtype": "float16"},
    "c": {"safetensors_file": "m.safetensors"}})";
  EXPECT_THAT(
      ParseOffloadIndex(json, "index.json"),
      IsOkAndHolds(ElementsAre(
          OffloadEntry{"a.weight", Dtype::kBfloat16, {2, 3}},
          OffloadEntry{"scalar", Dtype::kFloat32, {}},
          OffloadEntry{"b", Dtype::kFloat16, {}, "m.safetensors", "x.b"},
          OffloadEntry{"c", std::nullopt, {}, "m.safetensors", "c"})));
}

TEST(OffloadIndexTest, WritesWhatItReads) {
  const std::vector<OffloadEntry> entries = {
      {"h\xc3\xa9", Dtype::kInt64, {6}},
      {"b", Dtype::kFloat16, {}, "m.safetensors", "x.b"},
      {"c", std::nullopt, {}, "m.safetensors", "c"}};
  const std::string json = OffloadIndexJson(entries);
  EXPECT_THAT(ParseOffloadIndex(json, "index.json"), IsOkAndHolds(entries));
  EXPECT_THAT(json, HasSubstr(R"("h\u00e9": {)"));
}

struct BadIndex {
  const char* json;
  absl::StatusCode code;
  const char* message;
};

TEST(OffloadIndexTest, RefusesWhatIsNoIndex) {
  constexpr BadIndex kBad[] = {
      {"", absl::StatusCode::kDataLoss, "not a JSON object"},
      {"[]", absl::StatusCode::kDataLoss, "not a JSON object"},
      {R"({"a": 1})", absl::StatusCode::kDataLoss, "'a' is not an object"},
      {R"({"../a": {"dtype": "int8", "shape": []}})",
       absl::StatusCode::kDataLoss, "'../a'"},
      {R"({"": {"dtype": "int8", "shape": []}})", absl::StatusCode::kDataLoss,
       "cannot be stored"},
      {R"({"a": {"shape": []}})", absl::StatusCode::kDataLoss, "no dtype"},
      {R"({"a": {"dtype": 1, "shape": []}})", absl::StatusCode::kDataLoss,
       "'dtype' is no name"},
      {R"({"a": {"dtype": "int9", "shape": []}})",
       absl::StatusCode::kUnimplemented, "int9"},
      {R"({"a": {"dtype": "int8"}})", absl::StatusCode::kDataLoss, "no shape"},
      {R"({"a": {"dtype": "int8", "shape": [-1]}})",
       absl::StatusCode::kDataLoss, "list of sizes"},
      {R"({"a": {"dtype": "int8", "shape": [1.5]}})",
       absl::StatusCode::kDataLoss, "list of sizes"},
      {R"({"a": {"dtype": "int8", "shape": [18446744073709551615]}})",
       absl::StatusCode::kDataLoss, "list of sizes"},
      {R"({"a": {"dtype": "int64", "shape": [4294967296, 4294967296]}})",
       absl::StatusCode::kDataLoss, "no size in 64 bits"},
      {R"({"a": {"safetensors_file": 1}})", absl::StatusCode::kDataLoss,
       "no path"},
      {R"({"a": {"safetensors_file": "m", "weight_name": 1}})",
       absl::StatusCode::kDataLoss, "no string"},
  };
  for (const BadIndex& bad : kBad) {
    EXPECT_THAT(ParseOffloadIndex(bad.json, "x/index.json"),
                StatusIs(bad.code, AllOf(HasSubstr("x/index.json"),
                                         HasSubstr(bad.message))))
        << bad.json;
  }
}

}  // namespace
}  // namespace pretrained
