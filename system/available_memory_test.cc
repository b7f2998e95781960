#include "system/available_memory.h"

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

// A made-up /proc and /sys.
class Root {
 public:
  explicit Root(const std::string& name)
      : path_(absl::StrCat(testing::TempDir(), "/", name)) {
    std::filesystem::remove_all(path_);
  }

  void Write(const std::string& file, const std::string& content) const {
    const std::filesystem::path path = absl::StrCat(path_, file);
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << content;
  }
  std::optional<int64_t> available() const { return AvailableMemory(path_); }

 private:
  const std::string path_;
};

constexpr char kMeminfo[] =
    "MemTotal:       16000 kB\nMemFree:  10 kB\nMemAvailable:    9000 kB\n";

TEST(AvailableMemoryTest, IsWhatTheMachineHasAvailable) {
  const Root root("machine");
  root.Write("/proc/meminfo", kMeminfo);
  EXPECT_EQ(root.available(), 9000 * 1024);
}

TEST(AvailableMemoryTest, IsWhatTheTightestControlGroupLeaves) {
  const Root root("groups");
  root.Write("/proc/meminfo", kMeminfo);
  root.Write("/proc/self/cgroup", "0::/outer/inner\n");
  root.Write("/sys/fs/cgroup/outer/memory.max", "3000000\n");
  root.Write("/sys/fs/cgroup/outer/memory.current", "1000000\n");
  root.Write("/sys/fs/cgroup/outer/inner/memory.max", "max\n");
  root.Write("/sys/fs/cgroup/outer/inner/memory.current", "500\n");
  EXPECT_EQ(root.available(), 2000000);
  // What of it is page cache can be given back.
  root.Write("/sys/fs/cgroup/outer/memory.stat",
             "anon 5\ninactive_file 300000\n");
  EXPECT_EQ(root.available(), 2300000);
  root.Write("/sys/fs/cgroup/outer/inner/memory.max", "400\n");
  EXPECT_EQ(root.available(), 0);
}

// Within a container its group is the mount point.
TEST(AvailableMemoryTest, KeepsTheLimitAtTheMountPoint) {
  const Root root("container");
  root.Write("/proc/meminfo", kMeminfo);
  root.Write("/proc/self/cgroup", "0::/not/seen/here\n");
  root.Write("/sys/fs/cgroup/memory.max", "2000000\n");
  root.Write("/sys/fs/cgroup/memory.current", "500000\n");
  EXPECT_EQ(root.available(), 1500000);
}

TEST(AvailableMemoryTest, KnowsControlGroupsOfVersionOne) {
  const Root root("version1");
  root.Write("/proc/meminfo", kMeminfo);
  root.Write("/proc/self/cgroup", "5:cpu,cpuacct:/a\n4:hugetlb,memory:/a\n");
  const std::string folder = "/sys/fs/cgroup/memory/a/memory.";
  root.Write(folder + "limit_in_bytes", "7000\n");
  root.Write(folder + "usage_in_bytes", "2000\n");
  EXPECT_EQ(root.available(), 5000);
  root.Write(folder + "stat", "inactive_file 9\ntotal_inactive_file 1000\n");
  EXPECT_EQ(root.available(), 6000);
  root.Write(folder + "usage_in_bytes", "9000\n");
  EXPECT_EQ(root.available(), 0);
  root.Write(folder + "limit_in_bytes", "9223372036854771712\n");  // None.
  EXPECT_EQ(root.available(), 9000 * 1024);
}

TEST(AvailableMemoryTest, WhereNothingIsToldThereIsNoAnswer) {
  EXPECT_EQ(Root("nothing").available(), std::nullopt);
}

TEST(AvailableMemoryTest, ThisMachineHasSome) {
  EXPECT_GT(AvailableMemory(), 0);
}

}  // namespace
}  // namespace pretrained
