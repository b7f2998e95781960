#include "modeling/device_map_option.h"

#include <string>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOkAndHolds;
using ::absl_testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

TEST(DeviceMapOptionTest, EverythingThatNamesTheCpuPlacesTheWholeModelThere) {
  for (const char* text :
       {"", "cpu", "auto", "balanced", "balanced_low_0", "sequential",
        R"({"": "cpu"})", R"({"embeddings": "cpu", "encoder": "cpu"})"}) {
    EXPECT_THAT(ResolveDeviceMap(text),
                IsOkAndHolds(ElementsAre(Pair("", "cpu"))))
        << text;
  }
}

struct Refused {
  const char* text;
  absl::StatusCode code;
  const char* message;
};

TEST(DeviceMapOptionTest, RefusesOtherDevicesAndWhatIsNoMap) {
  constexpr Refused kRefused[] = {
      {"cuda", absl::StatusCode::kUnimplemented, "'cuda'"},
      {"cuda:0", absl::StatusCode::kUnimplemented, "on the CPU only"},
      {"Auto", absl::StatusCode::kUnimplemented, "'Auto'"},
      {"0", absl::StatusCode::kUnimplemented, "'0'"},
      {R"({"": 0})", absl::StatusCode::kUnimplemented, "'0'"},
      {R"({"a": "cpu", "b": "disk"})", absl::StatusCode::kUnimplemented,
       "\"disk\""},
      {R"({"": null})", absl::StatusCode::kUnimplemented, "'null'"},
      {"{}", absl::StatusCode::kInvalidArgument, "not a JSON object"},
      {"{", absl::StatusCode::kInvalidArgument, "not a JSON object"},
      {R"({"": "cpu"} x)", absl::StatusCode::kInvalidArgument,
       "not a JSON object"},
  };
  for (const Refused& refused : kRefused) {
    EXPECT_THAT(ResolveDeviceMap(refused.text),
                StatusIs(refused.code, AllOf(HasSubstr("device_map: "),
                                             HasSubstr(refused.message))))
        << refused.text;
  }
}

}  // namespace
}  // namespace pretrained
