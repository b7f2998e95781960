#include "device_map/device.h"

#include <string>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOkAndHolds;
using ::absl_testing::StatusIs;
using ::testing::HasSubstr;

TEST(DeviceTest, ReadsTheNamesThatDeviceMapsHave) {
  EXPECT_THAT(Device::Parse("0"), IsOkAndHolds(Device::Gpu(0)));
  EXPECT_THAT(Device::Parse("cuda"), IsOkAndHolds(Device::Gpu(0)));
  EXPECT_THAT(Device::Parse("cuda:11"), IsOkAndHolds(Device::Gpu(11)));
  EXPECT_THAT(Device::Parse("cpu"), IsOkAndHolds(Device::Cpu()));
  EXPECT_THAT(Device::Parse("disk"), IsOkAndHolds(Device::Disk()));
  EXPECT_THAT(Device::Parse("meta"), IsOkAndHolds(Device::Meta()));
}

TEST(DeviceTest, RefusesWhatIsNoDevice) {
  for (const char* text : {"", "gpu0", "-1", "cuda:", "cuda:-1", "1.5", " 1",
                           "99999999999", "CPU", "cuda:0x1"}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(
        Device::Parse(text),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("cpu, disk")));
  }
}

TEST(DeviceTest, WritesGpusAsNumbers) {
  EXPECT_EQ(Device::Gpu(3).ToString(), "3");
  for (const char* name : {"cpu", "disk", "meta"}) {
    EXPECT_EQ(Device::Parse(name)->ToString(), name);
  }
}

TEST(DeviceTest, ComparesInTheOrderOfFilling) {
  EXPECT_LT(Device::Gpu(2), Device::Gpu(10));
  EXPECT_LT(Device::Gpu(10), Device::Cpu());
  EXPECT_LT(Device::Cpu(), Device::Disk());
  EXPECT_LT(Device::Disk(), Device::Meta());
}

}  // namespace
}  // namespace pretrained
