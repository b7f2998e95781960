#include "device_map/machine_memory.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOkAndHolds;
using ::absl_testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A root folder with 10,000 kB available.
class MachineMemoryTest : public testing::Test {
 protected:
  MachineMemoryTest() : root_(testing::TempDir() + "/machine") {
    std::filesystem::remove_all(root_);
    Write("/proc/meminfo",
          "MemTotal:       20000 kB\nMemAvailable:   10000 kB\n");
  }

  void Write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(
        std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }

  const std::string root_;
};

TEST_F(MachineMemoryTest, IsWhatTheKernelCallsAvailable) {
  EXPECT_THAT(AvailableCpuBytes(root_), IsOkAndHolds(10240000));
}

TEST_F(MachineMemoryTest, KeepsTheLimitOfACgroupOfVersion2) {
  Write("/proc/self/cgroup", "0::/jobs/mine\n");
  Write("/sys/fs/cgroup/jobs/mine/memory.max", "max\n");
  EXPECT_THAT(AvailableCpuBytes(root_), IsOkAndHolds(10240000));
  // Of the one above it, with caches that can be given up.
  Write("/sys/fs/cgroup/jobs/memory.max", "5000000\n");
  Write("/sys/fs/cgroup/jobs/memory.current", "3000000\n");
  Write("/sys/fs/cgroup/jobs/memory.stat", "file 9\ninactive_file 1000000\n");
  EXPECT_THAT(AvailableCpuBytes(root_), IsOkAndHolds(3000000));
}

TEST_F(MachineMemoryTest, KeepsTheLimitOfACgroupOfVersion1) {
  Write("/proc/self/cgroup", "5:cpu,cpuacct:/\n4:memory:/pod/abc\n0::/\n");
  Write("/sys/fs/cgroup/memory/pod/abc/memory.limit_in_bytes", "4000000");
  Write("/sys/fs/cgroup/memory/pod/abc/memory.usage_in_bytes", "4500000");
  EXPECT_THAT(AvailableCpuBytes(root_), IsOkAndHolds(0));
}

// Within a container its cgroup is the mount point.
TEST_F(MachineMemoryTest, KeepsTheLimitAtTheMountPoint) {
  Write("/proc/self/cgroup", "0::/not/seen/here\n");
  Write("/sys/fs/cgroup/memory.max", "2000000\n");
  Write("/sys/fs/cgroup/memory.current", "500000\n");
  EXPECT_THAT(AvailableCpuBytes(root_), IsOkAndHolds(1500000));
}

TEST_F(MachineMemoryTest, SaysWhatToDoWhereTheKernelSaysNothing) {
  EXPECT_THAT(
      AvailableCpuBytes(root_ + "/absent"),
      StatusIs(absl::StatusCode::kUnavailable, HasSubstr("give budgets")));
}

TEST(FreeMemoryTest, EndsWithTheCpu) {
  const absl::StatusOr<MaxMemory> free = FreeMemory();
  ASSERT_TRUE(free.ok()) << free.status();
  ASSERT_FALSE(free->empty());
  EXPECT_EQ(free->back().device, Device::Cpu());
  EXPECT_EQ(free->size(), GpusHere().size() + 1);
}

TEST(VisibleGpusTest, AreNumberedAsInCuda) {
  const std::vector<std::string> gpus = {"GPU-aa1", "GPU-aa2", "GPU-b"};
  EXPECT_THAT(VisibleGpus(gpus, std::nullopt), ElementsAre(0, 1, 2));
  EXPECT_THAT(VisibleGpus(gpus, "2,0"), ElementsAre(2, 0));
  EXPECT_THAT(VisibleGpus(gpus, " GPU-b , GPU-aa1"), ElementsAre(2, 0));
  // The list ends at what is no GPU; a UUID cut short must be of one.
  EXPECT_THAT(VisibleGpus(gpus, "1,-1,2"), ElementsAre(1));
  EXPECT_THAT(VisibleGpus(gpus, "1,7,2"), ElementsAre(1));
  EXPECT_THAT(VisibleGpus(gpus, "GPU-aa"), IsEmpty());
  EXPECT_THAT(VisibleGpus(gpus, ""), IsEmpty());
  EXPECT_THAT(VisibleGpus(gpus, "1,1"), IsEmpty());
}

}  // namespace
}  // namespace pretrained
