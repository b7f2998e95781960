#include "checkpoint/make_pages.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace pretrained {
namespace {

// How many of the pages of [data, data + bytes), a whole number of them, are
// in memory.
int64_t PagesInMemory(char* data, int64_t bytes) {
  std::vector<unsigned char> present(bytes / sysconf(_SC_PAGESIZE));
  EXPECT_EQ(mincore(data, bytes, present.data()), 0);
  int64_t count = 0;
  for (unsigned char page : present) count += page & 1;
  return count;
}

class MakePagesTest : public testing::Test {
 protected:
  void SetUp() override {
    void* const block = mmap(nullptr, 8 * page_, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(block, MAP_FAILED);
    data_ = static_cast<char*>(block);
    // A kernel that does not know the hint leaves them to be made later.
    MakePages(data_, 1);
    knows_ = PagesInMemory(data_, page_) == 1;
  }
  void TearDown() override { munmap(data_, 8 * page_); }

  const int64_t page_ = sysconf(_SC_PAGESIZE);
  char* data_ = nullptr;
  bool knows_ = false;
};

TEST_F(MakePagesTest, MakesEveryPageOfTheRangeAndNoOther) {
  MakePages(data_ + 2 * page_ + 5, 2 * page_);  // In three pages.
  if (knows_) {
    EXPECT_EQ(PagesInMemory(data_ + 2 * page_, 3 * page_), 3);
  }
  EXPECT_EQ(PagesInMemory(data_ + 5 * page_, 3 * page_), 0);
}

TEST_F(MakePagesTest, LeavesContentsAlone) {
  for (int64_t i = 0; i < 8 * page_; ++i) data_[i] = static_cast<char>(i * 7);
  const std::string before(data_, 8 * page_);
  MakePages(data_ + 3, 7 * page_);
  EXPECT_EQ(std::string(data_, 8 * page_), before);
}

TEST_F(MakePagesTest, NothingIsNoRange) {
  MakePages(data_ + page_, 0);
  MakePages(nullptr, 0);
  EXPECT_EQ(PagesInMemory(data_ + page_, page_), 0);
}

}  // namespace
}  // namespace pretrained
