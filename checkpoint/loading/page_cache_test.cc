#include "checkpoint/loading/page_cache.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <optional>
#include <string>

#include "checkpoint/safetensors_testutil.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

constexpr int64_t kBytes = 1 << 20;

std::string SomeFile(const std::string& name) {
  return checkpoint_testing::WriteTestFile(name, std::string(kBytes, 'x'));
}

// An open file, closed at the end.
class OpenFile {
 public:
  explicit OpenFile(const std::string& name)
      : fd_(open(SomeFile(name).c_str(), O_RDONLY | O_CLOEXEC)) {
    EXPECT_GE(fd_, 0);
  }
  ~OpenFile() { close(fd_); }
  int fd() const { return fd_; }

 private:
  const int fd_;
};

TEST(PageCacheTest, WhatWasJustWrittenIsCached) {
  const OpenFile file("warm.bin");
  const std::optional<double> fraction = CachedFraction(file.fd(), 0, kBytes);
  if (!fraction.has_value()) GTEST_SKIP() << "this file system does not tell";
  EXPECT_EQ(*fraction, 1.0);
}

// The kernel drops pages that are on disk when it is asked to, but need not.
TEST(PageCacheTest, WhatWasDroppedIsNot) {
  const OpenFile file("cold.bin");
  const int fd = file.fd();
  ASSERT_EQ(fsync(fd), 0);
  ASSERT_EQ(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
  const std::optional<double> fraction = CachedFraction(fd, 0, kBytes);
  if (!fraction.has_value() || *fraction == 1.0) {
    GTEST_SKIP() << "this file system drops nothing";
  }
  EXPECT_LT(*fraction, 0.5);
  // Asking has read nothing.
  EXPECT_EQ(CachedFraction(fd, 0, kBytes), fraction);
  std::string bytes(kBytes, '\0');
  ASSERT_EQ(pread(fd, bytes.data(), kBytes, 0), kBytes);
  EXPECT_EQ(CachedFraction(fd, 0, kBytes), 1.0);
}

TEST(PageCacheTest, OfNothingNothingIsTold) {
  EXPECT_EQ(CachedFraction(/*fd=*/-1, 0, 10), std::nullopt);
  const OpenFile file("empty_range.bin");
  EXPECT_EQ(CachedFraction(file.fd(), 7, 7), std::nullopt);
}

}  // namespace
}  // namespace pretrained
