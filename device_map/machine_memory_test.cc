#include "device_map/machine_memory.h"

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

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
