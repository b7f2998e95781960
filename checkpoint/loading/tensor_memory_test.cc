#include "checkpoint/loading/tensor_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;

bool IsInMemory(const char* page) {
  unsigned char present = 0;
  EXPECT_EQ(mincore(const_cast<char*>(page), 1, &present), 0);
  return present & 1;
}

TEST(MemoryBlockTest, APartGivesBackThePagesThatOnlyItTouches) {
  const int64_t page = sysconf(_SC_PAGESIZE);
  auto block = MemoryBlock::Make(6 * page);
  ASSERT_THAT(block, IsOk());
  char* const data = (*block)->data();
  std::memset(data, 7, 6 * page);
  std::shared_ptr<void> first = (*block)->Part(0, page + 10);
  std::shared_ptr<void> second = (*block)->Part(page + 10, 5 * page);
  block->reset();
  EXPECT_EQ(first.get(), data);
  second.reset();
  EXPECT_TRUE(IsInMemory(data));
  EXPECT_TRUE(IsInMemory(data + page));  // The first one's, too.
  for (int i = 2; i < 5; ++i) EXPECT_FALSE(IsInMemory(data + i * page)) << i;
  EXPECT_EQ(data[page + 9], 7);
}

TEST(MemoryBlockTest, LivesAsLongAsAnyPart) {
  const int64_t page = sysconf(_SC_PAGESIZE);
  std::vector<std::shared_ptr<void>> parts;
  {
    auto block = MemoryBlock::Make(4 * page);
    ASSERT_THAT(block, IsOk());
    std::memset((*block)->data(), 3, 4 * page);
    for (int64_t i = 0; i < 4; ++i) {
      parts.push_back((*block)->Part(i * page, (i + 1) * page));
    }
  }
  parts.erase(parts.begin(), parts.begin() + 3);
  EXPECT_EQ(static_cast<char*>(parts[0].get())[page - 1], 3);
}

TEST(MemoryBlockTest, WhatIsLargeStartsAtAHugePage) {
  constexpr int64_t kBytes = (int64_t{2} << 20) + 4096;
  auto block = MemoryBlock::Make(kBytes);
  ASSERT_THAT(block, IsOk());
  EXPECT_EQ(reinterpret_cast<uintptr_t>((*block)->data()) % (2 << 20), 0u);
  EXPECT_EQ((*block)->size_bytes(), kBytes);
  std::memset((*block)->data(), 1, kBytes);
}

TEST(MemoryBlockTest, NoBlockIsSmallerThanAByteOrLargerThanMemory) {
  EXPECT_THAT(MemoryBlock::Make(0),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(MemoryBlock::Make(int64_t{1} << 60),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

}  // namespace
}  // namespace pretrained
