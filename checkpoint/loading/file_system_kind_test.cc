#include "checkpoint/loading/file_system_kind.h"

#include <fcntl.h>
#include <unistd.h>

#include "gtest/gtest.h"

namespace pretrained {
namespace {

TEST(FileSystemKindTest, KnowsTheMagicsOfStatfs) {
  EXPECT_EQ(KindOfMagic(0xef53), FileSystemKind::kLocal);      // ext4
  EXPECT_EQ(KindOfMagic(0x58465342), FileSystemKind::kLocal);  // XFS
  EXPECT_EQ(KindOfMagic(0x794c7630), FileSystemKind::kLocal);  // overlayfs
  EXPECT_EQ(KindOfMagic(0x01021994), FileSystemKind::kMemory);
  EXPECT_EQ(KindOfMagic(0x6969), FileSystemKind::kNetwork);
  EXPECT_EQ(KindOfMagic(0xff534d42), FileSystemKind::kNetwork);
  EXPECT_EQ(KindOfMagic(0x65735546), FileSystemKind::kFuse);
  EXPECT_EQ(KindOfMagic(0), FileSystemKind::kLocal);
}

TEST(FileSystemKindTest, AsksTheSystem) {
  EXPECT_EQ(KindOfFileSystem(/*fd=*/-1), FileSystemKind::kLocal);
  // procfs keeps nothing on a disk, but is none of those told apart.
  const int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(KindOfFileSystem(fd), FileSystemKind::kLocal);
  close(fd);
}

TEST(FileSystemKindTest, EachKindHasAName) {
  EXPECT_EQ(FileSystemKindName(FileSystemKind::kLocal), "local");
  EXPECT_EQ(FileSystemKindName(FileSystemKind::kMemory), "memory");
  EXPECT_EQ(FileSystemKindName(FileSystemKind::kNetwork), "network");
  EXPECT_EQ(FileSystemKindName(FileSystemKind::kFuse), "FUSE");
}

}  // namespace
}  // namespace pretrained
