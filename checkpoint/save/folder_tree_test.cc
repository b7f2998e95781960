#include "checkpoint/save/folder_tree.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <map>
#include <string>

#include "checkpoint/safetensors_testutil.h"
#include "checkpoint/save/save_testutil.h"
#include "checkpoint/save/system_calls.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

namespace fs = std::filesystem;
using checkpoint_testing::Content;
using checkpoint_testing::FaultyCalls;
using checkpoint_testing::MakeMemoryFolder;
using checkpoint_testing::MakeTestFolder;
using checkpoint_testing::PutFile;
using Files = std::map<std::string, std::string>;

Fd Open(const std::string& path) {
  Fd fd;
  EXPECT_EQ(OpenFolder(AT_FDCWD, path, fd), 0) << path;
  return fd;
}

// Folders "old", with some files, and "twin", of it.
struct Twins {
  std::string base, old, twin;
  InodeByPath kept;
};

Twins MakeTwins() {
  Twins twins;
  twins.base = MakeMemoryFolder();
  twins.old = twins.base + "/old";
  twins.twin = twins.base + "/twin";
  fs::create_directories(twins.old + "/sub/sub sub");
  fs::create_directory(twins.twin);
  PutFile(twins.old + "/a", "1");
  PutFile(twins.old + "/left out", "2");
  PutFile(twins.old + "/sub/sub sub/b", "3");
  PutFile(twins.old + "/sub/left out", "4");
  std::string where;
  EXPECT_EQ(MakeTwin(Open(twins.old).get(), Open(twins.twin).get(),
                     {"left out"}, twins.kept, where),
            0)
      << where;
  return twins;
}

TEST(FolderTreeTest, TwinsHoldTheSameFiles) {
  const Twins twins = MakeTwins();
  Files expected = Content(twins.old);
  expected.erase("left out");
  EXPECT_EQ(Content(twins.twin), expected);
  EXPECT_EQ(twins.kept.size(), expected.size());
  for (const char* path : {"/a", "/sub/sub sub/b", "/sub/left out"}) {
    struct stat a, b;
    ASSERT_EQ(stat((twins.old + path).c_str(), &a), 0);
    ASSERT_EQ(stat((twins.twin + path).c_str(), &b), 0);
    EXPECT_EQ(a.st_ino, b.st_ino) << path;
    EXPECT_EQ(twins.kept.at(path + 1), a.st_ino) << path;
  }
}

TEST(FolderTreeTest, TwinsHaveTheExtendedAttributes) {
  // Not in memory: tmpfs has no user attributes in older kernels.
  const std::string base = MakeTestFolder("twin attributes");
  fs::remove_all(base);
  fs::create_directories(base + "/old/sub");
  fs::create_directory(base + "/twin");
  if (setxattr((base + "/old").c_str(), "user.a", "x", 1, 0) != 0) {
    GTEST_SKIP() << "no extended attributes here";
  }
  ASSERT_EQ(setxattr((base + "/old/sub").c_str(), "user.b", "yz", 2, 0), 0);
  ASSERT_EQ(setxattr((base + "/twin").c_str(), "user.wrong", "x", 1, 0), 0);
  InodeByPath kept;
  std::string where;
  EXPECT_EQ(MakeTwin(Open(base + "/old").get(), Open(base + "/twin").get(), {},
                     kept, where),
            0);
  char value[10];
  EXPECT_EQ(getxattr((base + "/twin").c_str(), "user.a", value, 10), 1);
  EXPECT_EQ(getxattr((base + "/twin").c_str(), "user.wrong", value, 10), -1);
  EXPECT_EQ(getxattr((base + "/twin/sub").c_str(), "user.b", value, 10), 2);
}

TEST(FolderTreeTest, SaysWhereATwinCannotBeMade) {
  const Twins twins = MakeTwins();
  fs::create_directory(twins.base + "/another");
  const FaultyCalls calls({.refused = "link", .refusal = EMLINK});
  InodeByPath kept;
  std::string where;
  EXPECT_EQ(MakeTwin(Open(twins.old).get(), Open(twins.base + "/another").get(),
                     {"a", "left out"}, kept, where),
            EMLINK);
  EXPECT_EQ(where, "sub/left out");
  EXPECT_TRUE(IsRefusal(EMLINK));
  EXPECT_FALSE(IsRefusal(ENOSPC));
}

TEST(FolderTreeTest, RescuesWhatCameToTheOldFolder) {
  const Twins twins = MakeTwins();
  PutFile(twins.old + "/new", "new");
  PutFile(twins.old + "/sub/new", "new below");
  fs::create_directories(twins.old + "/new folder/x");
  // Replaced, in one step, while the twin held the one before.
  PutFile(twins.old + "/t", "replaced");
  fs::rename(twins.old + "/t", twins.old + "/a");
  PutFile(twins.old + "/replaced by the save", "x");
  std::string where;
  EXPECT_EQ(
      RescueNewcomers(Open(twins.old).get(), Open(twins.twin).get(),
                      {"left out", "replaced by the save"}, twins.kept, where),
      0)
      << where;
  EXPECT_EQ(Content(twins.twin), (Files{{"a", "replaced"},
                                        {"new", "new"},
                                        {"new folder", "/"},
                                        {"new folder/x", "/"},
                                        {"sub", "/"},
                                        {"sub/new", "new below"},
                                        {"sub/left out", "4"},
                                        {"sub/sub sub", "/"},
                                        {"sub/sub sub/b", "3"}}));
}

TEST(FolderTreeTest, LetsWhatChangedSinceBe) {
  const Twins twins = MakeTwins();
  // In the folder that is now the current one.
  fs::remove_all(twins.twin + "/sub");
  fs::remove(twins.twin + "/a");
  PutFile(twins.twin + "/a", "newer");
  PutFile(twins.twin + "/both", "newer");
  // And in the old one.
  PutFile(twins.old + "/t", "older");
  fs::rename(twins.old + "/t", twins.old + "/a");
  PutFile(twins.old + "/both", "older");
  std::string where;
  EXPECT_EQ(RescueNewcomers(Open(twins.old).get(), Open(twins.twin).get(),
                            {"left out"}, twins.kept, where),
            0);
  EXPECT_EQ(Content(twins.twin), (Files{{"a", "newer"}, {"both", "newer"}}));
}

TEST(FolderTreeTest, RemovesTreesAndFollowsNoLink) {
  const std::string base = MakeMemoryFolder();
  fs::create_directories(base + "/tree/a/b/c");
  fs::create_directory(base + "/precious");
  PutFile(base + "/precious/file", "x");
  PutFile(base + "/tree/a/file", "x");
  fs::create_directory_symlink("../precious", base + "/tree/link");
  fs::create_directory_symlink("precious", base + "/link");
  ASSERT_EQ(chmod((base + "/tree/a/b").c_str(), 0500), 0);
  const Fd folder = Open(base);
  EXPECT_EQ(RemoveTree(folder.get(), "tree"), 0);
  EXPECT_EQ(RemoveTree(folder.get(), "link"), 0);
  EXPECT_EQ(RemoveTree(folder.get(), "absent"), 0);
  EXPECT_EQ(Content(base), (Files{{"precious", "/"}, {"precious/file", "x"}}));
}

}  // namespace
}  // namespace checkpoint_internal
}  // namespace pretrained
