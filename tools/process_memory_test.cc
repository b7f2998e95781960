#include "tools/process_memory.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

#include "gtest/gtest.h"

namespace pretrained {
namespace {

constexpr int64_t kBlockBytes = 64 << 20;
// What the allocator and the test itself may take beside.
constexpr int64_t kSlackBytes = 8 << 20;

// Memory that is really there.
std::unique_ptr<char[]> TouchedBlock() {
  auto block = std::make_unique_for_overwrite<char[]>(kBlockBytes);
  std::memset(block.get(), 1, kBlockBytes);
  return block;
}

TEST(ProcessMemoryTest, PrivateBytesRiseAndFallWithAllocations) {
  const int64_t before = PrivateBytes();
  EXPECT_GT(before, 0);
  std::unique_ptr<char[]> block = TouchedBlock();
  EXPECT_EQ(block[kBlockBytes - 1], 1);
  EXPECT_NEAR(PrivateBytes() - before, kBlockBytes, kSlackBytes);
  block.reset();
  EXPECT_NEAR(PrivateBytes() - before, 0, kSlackBytes);
}

TEST(ProcessMemoryTest, ThePeakStaysAfterMemoryIsGone) {
  const int64_t before = PrivateBytes();
  PrivateMemorySampler sampler;
  TouchedBlock().reset();
  std::unique_ptr<char[]> block = TouchedBlock();
  // Stop() takes a last sample, whatever the watching thread saw.
  const int64_t peak = sampler.Stop();
  EXPECT_NEAR(peak - before, kBlockBytes, kSlackBytes);
  EXPECT_EQ(block[0], 1);
  block.reset();
  EXPECT_EQ(sampler.Stop(), peak);
  EXPECT_GE(PeakResidentBytes(), peak);
}

TEST(ProcessMemoryTest, ASamplerThatIsNeverStoppedEndsWithItsScope) {
  PrivateMemorySampler sampler;
}

}  // namespace
}  // namespace pretrained
