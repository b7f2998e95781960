#include "device_map/device_map.h"

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "device_map/device.h"
#include "device_map/golden_testutil.h"
#include "device_map/sized_tree.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Cleaned(const std::string& json) {
  return DeviceMapJson(CleanDeviceMap(*ParseDeviceMap(json)));
}

TEST(DeviceMapTest, IsReadFromADeviceOrAnObject) {
  EXPECT_EQ(DeviceMapJson(*ParseDeviceMap("cuda:1")), R"({"":1})");
  EXPECT_EQ(DeviceMapJson(*ParseDeviceMap("cpu")), R"({"":"cpu"})");
  EXPECT_EQ(DeviceMapJson(*ParseDeviceMap(
                R"({"b": "cuda:0", "a": 1, "c": "2", "d": "disk"})")),
            R"({"b":0,"a":1,"c":2,"d":"disk"})");
}

TEST(DeviceMapTest, SaysWhatIsWrongWithText) {
  for (const char* text :
       {"", "{", "{}", "[]", "gpu", "-1", R"({"a": -1})", R"({"a": 1.5})",
        R"({"a": null})", R"({"a": true})"}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(ParseDeviceMap(text),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("device map: ")));
  }
}

TEST(DeviceMapTest, CleaningJoinsWhatIsOnOneDevice) {
  EXPECT_EQ(Cleaned(R"({"a": 0, "b.c": 0, "b.d": 0})"), R"({"":0})");
  EXPECT_EQ(Cleaned(R"({"a": 1, "b.c": 0, "b.d": 0})"), R"({"a":1,"b":0})");
  EXPECT_EQ(Cleaned(R"({"b.0.x": 0, "b.0.y": 0, "b.1": 1, "b.10": 1})"),
            R"({"b.0":0,"b.1":1,"b.10":1})");
  // One entry keeps its name, as in accelerate.
  EXPECT_EQ(Cleaned(R"({"a.b.c": 0})"), R"({"a.b.c":0})");
  EXPECT_EQ(Cleaned(R"({"a.b.c": 0, "d": 1})"), R"({"a.b.c":0,"d":1})");
  EXPECT_EQ(Cleaned(R"({"": 0})"), R"({"":0})");
}

// accelerate loses "a" to 1 in the second.
TEST(DeviceMapTest, CleaningTakesNothingFromAModulesOwnEntry) {
  EXPECT_EQ(Cleaned(R"({"a": 0, "a.b": 0, "a.c": 0, "d": 1})"),
            R"({"a":0,"d":1})");
  EXPECT_EQ(Cleaned(R"({"a": 0, "a.b": 1, "a.c": 1, "d": 2})"),
            R"({"a":0,"a.b":1,"a.c":1,"d":2})");
  EXPECT_EQ(Cleaned(R"({"": 0, "a": 1, "b": 1})"), R"({"":0,"a":1,"b":1})");
}

constexpr char kTree[] = R"({
    "children": {
      "model": {"parameters": {"scale": {"shape": [1]}},
                "buffers": {"mask": {"shape": [3]}},
                "children": {"embed": {"parameters": {"w": {"shape": [4]}}},
                             "layers": {"parameters": {"w": {"shape": [8]}}}}},
      "head": {"parameters": {"w": {"shape": [4]}}}},
    "tied": [["model.embed.w", "head.w"]]})";

TEST(DeviceMapTest, AnEntryStandsForAllBelowIt) {
  const SizedTree tree = SizedTreeFromJson(kTree);
  const DeviceMap device_map =
      *ParseDeviceMap(R"({"": "cpu", "model": 1, "model.layers": 0})");
  EXPECT_THAT(CheckDeviceMap(tree, device_map, std::nullopt), IsOk());
  const auto devices = DevicesOfItems(tree, device_map);
  EXPECT_EQ(devices[*tree.Find("model.embed.w")], Device::Gpu(1));
  EXPECT_EQ(devices[*tree.Find("model.layers.w")], Device::Gpu(0));
  EXPECT_EQ(devices[*tree.Find("head")], Device::Cpu());
}

TEST(DeviceMapTest, ABufferWithoutEntryFollowsItsModule) {
  const SizedTree tree = SizedTreeFromJson(kTree);
  const DeviceMap device_map = *ParseDeviceMap(
      R"({"model.scale": 0, "model.embed": 1, "model.layers": 1, "head": 1})");
  EXPECT_THAT(CheckDeviceMap(tree, device_map, std::nullopt), IsOk());
  EXPECT_EQ(DevicesOfItems(tree, device_map)[*tree.Find("model.mask")],
            Device::Gpu(0));
}

TEST(DeviceMapTest, NamesWhatIsNotCovered) {
  const SizedTree tree = SizedTreeFromJson(kTree);
  EXPECT_THAT(CheckDeviceMap(tree, *ParseDeviceMap(R"({"model.embed": 0})"),
                             std::nullopt),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("no entry says where to put model.scale, "
                                 "model.layers.w, head.w;")));
}

TEST(DeviceMapTest, NamesTheNearestOfAnUnknownModule) {
  const SizedTree tree = SizedTreeFromJson(kTree);
  EXPECT_THAT(
      CheckDeviceMap(tree, *ParseDeviceMap(R"({"": 0, "model.layer": 1})"),
                     std::nullopt),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("'model.layer' is no module of the model; did you "
                         "mean 'model.layers'?")));
}

TEST(DeviceMapTest, KnowsWhichDevicesExist) {
  const SizedTree tree = SizedTreeFromJson(kTree);
  const DeviceMap device_map =
      *ParseDeviceMap(R"({"": "cpu", "model": "disk", "head": 1})");
  EXPECT_THAT(CheckDeviceMap(tree, device_map, std::nullopt), IsOk());
  const std::vector<Device> two = {Device::Gpu(0), Device::Gpu(1)};
  EXPECT_THAT(CheckDeviceMap(tree, device_map, two), IsOk());
  const std::vector<Device> one = {Device::Gpu(0)};
  EXPECT_THAT(CheckDeviceMap(tree, device_map, one),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("'head' is to go to GPU 1, but this machine "
                                 "has just 0")));
  EXPECT_THAT(CheckDeviceMap(tree, device_map, absl::Span<const Device>()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("but this machine has none")));
}

TEST(DeviceMapTest, SaysWhichTiesAreTornApart) {
  const SizedTree tree = SizedTreeFromJson(kTree);
  EXPECT_THAT(
      CheckTiesTogether(tree, *ParseDeviceMap(R"({"": 0, "model.layers": 1})")),
      IsOk());
  EXPECT_THAT(
      CheckTiesTogether(tree, *ParseDeviceMap(R"({"": 0, "head": "cpu"})")),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr("'head.w' is on cpu"),
                     HasSubstr("tied to 'model.embed.w' on 0"))));
}

}  // namespace
}  // namespace pretrained
