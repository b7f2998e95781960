#include "modeling/device_map_option.h"

#include <string>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "device_map/device.h"
#include "dtypes/dtype.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/model_layout.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

// embed [10,4] and head tied; blocks of one [4,4] each: 160 + 3 * 64 bytes.
ModelLayout TinyLayout() {
  ModelLayout layout{.class_name = "Tiny", .no_split_modules = {"Block"}};
  layout.tree.root.class_name = "Tiny";
  const auto leaf = [](std::string name, std::vector<int64_t> shape) {
    return ModuleNode{.name = std::move(name),
                      .class_name = "Linear",
                      .parameters = {{.name = "weight", .shape = shape}}};
  };
  ModuleNode blocks{.name = "h", .class_name = "ModuleList"};
  for (int i = 0; i < 3; ++i) {
    blocks.children.push_back({.name = std::to_string(i),
                               .class_name = "Block",
                               .children = {leaf("fc", {4, 4})}});
  }
  layout.tree.root.children = {leaf("embed", {10, 4}), blocks,
                               leaf("head", {10, 4})};
  layout.tree.tied = {{"embed.weight", "head.weight"}};
  return layout;
}

TEST(DeviceMapOptionTest, EverythingThatNamesTheCpuPlacesTheWholeModelThere) {
  for (const char* text : {"", "cpu", "auto", "balanced", "balanced_low_0",
                           "sequential", R"({"": "cpu"})"}) {
    const auto placement = PlaceModel(TinyLayout(), {.device_map = text});
    ASSERT_THAT(placement, IsOk()) << text;
    EXPECT_THAT(placement->device_map, ElementsAre(Pair("", "cpu"))) << text;
    EXPECT_EQ(placement->DeviceOf("h.1.fc.weight"), Device::Cpu());
    EXPECT_FALSE(placement->uses(Device::Kind::kDisk));
  }
}

TEST(DeviceMapOptionTest, BudgetsSendWhatDoesNotFitToTheDisk) {
  const auto placement = PlaceModel(
      TinyLayout(), {.device_map = "auto", .max_memory = {{"cpu", "300"}}});
  ASSERT_THAT(placement, IsOk());
  EXPECT_EQ(placement->DeviceOf("embed.weight"), Device::Cpu());
  EXPECT_EQ(placement->DeviceOf("head.weight"), Device::Cpu());
  EXPECT_EQ(placement->DeviceOf("h.0.fc.weight"), Device::Cpu());
  EXPECT_EQ(placement->DeviceOf("h.2.fc.weight"), Device::Disk());
  // Half the bytes are half the room.
  const auto half = PlaceModel(TinyLayout(), {.device_map = "auto",
                                              .max_memory = {{"cpu", "300"}},
                                              .dtype = Dtype::kFloat16});
  ASSERT_THAT(half, IsOk());
  EXPECT_THAT(half->device_map, ElementsAre(Pair("", "cpu")));
}

TEST(DeviceMapOptionTest, MapsByHandMayShortenAndKeepTheirEntries) {
  const auto placement =
      PlaceModel(TinyLayout(),
                 {.device_map = R"({"": "disk", "h.1": "cpu", "embed": "meta",
                         "head": "meta"})"});
  ASSERT_THAT(placement, IsOk());
  EXPECT_THAT(placement->device_map,
              ElementsAre(Pair("", "disk"), Pair("h.1", "cpu"),
                          Pair("embed", "meta"), Pair("head", "meta")));
  EXPECT_EQ(placement->DeviceOf("h.0.fc.weight"), Device::Disk());
  EXPECT_EQ(placement->DeviceOf("h.1.fc.weight"), Device::Cpu());
  EXPECT_EQ(placement->DeviceOf("head.weight"), Device::Meta());
}

TEST(DeviceMapOptionTest, TornTiesAreOneTensorOnTheFirstDevice) {
  const auto placement = PlaceModel(
      TinyLayout(), {.device_map = R"({"": "cpu", "embed": "disk"})"});
  ASSERT_THAT(placement, IsOk());
  EXPECT_EQ(placement->DeviceOf("embed.weight"), Device::Cpu());
  EXPECT_FALSE(placement->uses(Device::Kind::kDisk));
  EXPECT_THAT(
      PlaceModel(TinyLayout(), {.device_map = R"({"": 0, "embed": 1})",
                                .gpus = {Device::Gpu(0), Device::Gpu(1)}}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("one GPU")));
}

struct Refused {
  PlacementRequest request;
  absl::StatusCode code;
  const char* message;
};

TEST(DeviceMapOptionTest, RefusesWhatCannotBeSayingWhatCan) {
  const Refused kRefused[] = {
      {{.device_map = "cuda:0"},
       absl::StatusCode::kInvalidArgument,
       "devices here: cpu, disk and meta (GPUs take a build with"},
      {{.device_map = "tpu"}, absl::StatusCode::kInvalidArgument, "'tpu'"},
      {{.device_map = "Auto"},
       absl::StatusCode::kInvalidArgument,
       "none of auto, balanced"},
      {{.device_map = R"({"": 1})", .gpus = {Device::Gpu(0)}},
       absl::StatusCode::kInvalidArgument,
       "devices here: 0, cpu"},
      {{.device_map = R"({"h": "cpu", "embed": "cpu"})"},
       absl::StatusCode::kInvalidArgument,
       "head.weight"},
      {{.device_map = R"({"": "cpu", "hed": "disk"})"},
       absl::StatusCode::kInvalidArgument,
       "did you mean 'head'"},
      {{.device_map = R"({"": "here"})"},
       absl::StatusCode::kInvalidArgument,
       "here"},
      {{.device_map = "{"},
       absl::StatusCode::kInvalidArgument,
       "not a JSON object"},
      {{.max_memory = {{"cpu", "1GB"}}},
       absl::StatusCode::kInvalidArgument,
       "give device_map too"},
      {{.device_map = "auto", .max_memory = {{"0", "1GB"}}},
       absl::StatusCode::kInvalidArgument,
       "no GPU 0; devices here"},
      {{.device_map = "auto", .max_memory = {{"cpu", "much"}}},
       absl::StatusCode::kInvalidArgument,
       "'cpu': "},
      {{.device_map = "auto", .max_memory = {{"cpu", "100"}}},
       absl::StatusCode::kResourceExhausted,
       "needs 160"},
      {{.device_map = "cpu", .max_memory = {{"cpu", "300"}}},
       absl::StatusCode::kResourceExhausted,
       "takes 352 bytes"},
      {{.device_map = "auto", .max_memory = {{"cpu", "300"}, {"disk", "1"}}},
       absl::StatusCode::kResourceExhausted,
       "disk"},
  };
  for (const Refused& refused : kRefused) {
    EXPECT_THAT(PlaceModel(TinyLayout(), refused.request),
                StatusIs(refused.code, HasSubstr(refused.message)))
        << refused.request.device_map;
  }
}

}  // namespace
}  // namespace pretrained
