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

TEST(PageCacheTest, WhatWasJustWrittenIsCached) {
  const std::optional<double> fraction =
      CachedFraction(SomeFile("warm.bin"), 0, kBytes);
  if (!fraction.has_value()) GTEST_SKIP() << "this file system does not tell";
  EXPECT_EQ(*fraction, 1.0);
}

// The kernel drops pages that are on disk when it is asked to, but need not.
TEST(PageCacheTest, WhatWasDroppedIsNot) {
  const std::string path = SomeFile("cold.bin");
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(fsync(fd), 0);
  ASSERT_EQ(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
  const std::optional<double> fraction = CachedFraction(path, 0, kBytes);
  if (!fraction.has_value() || *fraction == 1.0) {
    close(fd);
    GTEST_SKIP() << "this file system drops nothing";
  }
  EXPECT_LT(*fraction, 0.5);
  // Asking has read nothing.
  EXPECT_EQ(CachedFraction(path, 0, kBytes), fraction);
  std::string bytes(kBytes, '\0');
  ASSERT_EQ(pread(fd, bytes.data(), kBytes, 0), kBytes);
  EXPECT_EQ(CachedFraction(path, 0, kBytes), 1.0);
  close(fd);
}

TEST(PageCacheTest, OfNothingNothingIsTold) {
  EXPECT_EQ(CachedFraction("/no/such/file", 0, 10), std::nullopt);
  EXPECT_EQ(CachedFraction(SomeFile("empty_range.bin"), 7, 7), std::nullopt);
}

}  // namespace
}  // namespace pretrained
