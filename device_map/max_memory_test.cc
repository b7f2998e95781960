#include "device_map/max_memory.h"

#include <string>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "device_map/device.h"
#include "device_map/golden_testutil.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using Json = nlohmann::ordered_json;
using ::absl_testing::IsOkAndHolds;
using ::absl_testing::StatusIs;
using ::testing::HasSubstr;

TEST(MaxMemoryTest, ReadsSizesAsAccelerateDoes) {
  int sizes = 0;
  for (const Json& golden : GoldenJson("sizes.json")) {
    if (!golden["size"].is_string()) continue;  // A number is no text.
    SCOPED_TRACE(golden.dump());
    const absl::StatusOr<int64_t> bytes =
        ParseMemorySize(golden["size"].get<std::string>());
    if (golden["accelerate"].is_number()) {
      EXPECT_THAT(bytes, IsOkAndHolds(golden["accelerate"].get<int64_t>()));
      ++sizes;
    } else {
      EXPECT_THAT(bytes, StatusIs(absl::StatusCode::kInvalidArgument));
    }
  }
  EXPECT_GT(sizes, 10);
}

TEST(MaxMemoryTest, ReadsBudgetsAsAccelerateDoes) {
  for (const Json& golden : GoldenJson("get_max_memory.json")) {
    SCOPED_TRACE(golden.dump());
    Json given = Json::object();
    for (const Json& pair : golden["max_memory"]) {
      given[pair[0].is_string() ? pair[0].get<std::string>() : pair[0].dump()] =
          pair[1];
    }
    const absl::StatusOr<MaxMemory> max_memory = ParseMaxMemory(given.dump());
    if (golden["result"].is_array()) {
      ASSERT_TRUE(max_memory.ok()) << max_memory.status();
      EXPECT_EQ(PairsFromMaxMemory(*max_memory), golden["result"]);
    } else {
      EXPECT_THAT(max_memory, StatusIs(absl::StatusCode::kInvalidArgument));
    }
  }
}

struct Bad {
  const char* json;
  const char* message;
};

constexpr Bad kBad[] = {
    {"[]", "not a JSON object"},
    {"{", "not a JSON object"},
    {R"({"meta": 5})", "meta holds no bytes"},
    {R"({"0": 5, "cuda:0": 6})", "0 has two budgets"},
    {R"({"0": -1})", "at least 0"},
    {R"({"0": true})", "'true' is not a size"},
    {R"({"0": null})", "'null' is not a size"},
    {R"({"0": "infGB"})", "'infGB' is not a size"},
    {R"({"0": "nanGB"})", "'nanGB' is not a size"},
    {R"({"0": "0x10GB"})", "'0x10GB' is not a size"},
    {R"({"0": "99999999999GB"})", "'99999999999GB' is not a size"},
    {R"({"0": 1e300})", "may hold 1e+300"},
};

TEST(MaxMemoryTest, SaysWhatIsWrongWithBudgets) {
  for (const Bad& bad : kBad) {
    SCOPED_TRACE(bad.json);
    EXPECT_THAT(
        ParseMaxMemory(bad.json),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(bad.message)));
  }
}

TEST(MaxMemoryTest, FindsTheBudgetOfADevice) {
  const MaxMemory budgets = *ParseMaxMemory(R"({"cpu": 0, "1": "1KiB"})");
  EXPECT_EQ(BudgetOf(budgets, Device::Gpu(1)), 1024);
  EXPECT_EQ(BudgetOf(budgets, Device::Cpu()), 0);
  EXPECT_EQ(BudgetOf(budgets, Device::Gpu(0)), std::nullopt);
}

}  // namespace
}  // namespace pretrained
