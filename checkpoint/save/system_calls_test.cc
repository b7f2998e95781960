#include "checkpoint/save/system_calls.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "checkpoint/safetensors_testutil.h"
#include "checkpoint/save/save_testutil.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

namespace fs = std::filesystem;
using ::absl_testing::StatusIs;
using checkpoint_testing::FaultyCalls;
using checkpoint_testing::MakeMemoryFolder;
using checkpoint_testing::PutFile;
using checkpoint_testing::ReadTestFile;
using ::testing::HasSubstr;

std::vector<std::string>* g_calls = nullptr;

// Each function, the name that the hook sees, and what it makes of "a" and "b".
TEST(SystemCallsTest, TellTheHookBeforeAndAfterEachCall) {
  const std::string folder = MakeMemoryFolder();
  PutFile(folder + "/a", "a");
  Fd at, file;
  ASSERT_EQ(OpenFolder(AT_FDCWD, folder, at), 0);
  std::vector<std::string> seen;
  g_calls = &seen;
  SetSystemCallHookForTesting([](absl::string_view call, bool made) {
    g_calls->push_back(absl::StrCat(call, made ? " made" : ""));
    return 0;
  });
  const int fd = at.get();
  EXPECT_EQ(OpenFile(fd, "a", O_RDWR, file), 0);
  EXPECT_EQ(WriteAll(file.get(), "b"), 0);
  EXPECT_EQ(SyncFile(file.get()), 0);
  EXPECT_EQ(LockFile(file.get()), 0);
  EXPECT_EQ(SetMode(file.get(), 0600), 0);
  EXPECT_EQ(SetOwner(file.get(), geteuid(), getegid()), 0);
  EXPECT_EQ(SetTimes(file.get(), {.tv_sec = 1}, {.tv_sec = 2}), 0);
  EXPECT_EQ(MakeFolder(fd, "d", 0777), 0);
  EXPECT_EQ(LinkAt(fd, "a", fd, "b"), 0);
  EXPECT_EQ(ExchangeAt(fd, "d", fd, "b"), 0);
  EXPECT_EQ(RenameAt(fd, "d", fd, "e"), 0);
  EXPECT_EQ(RenameToFreeName(fd, "e", fd, "f"), 0);
  EXPECT_EQ(SyncFolder(fd), 0);
  EXPECT_EQ(UnlinkAt(fd, "f"), 0);
  EXPECT_EQ(RemoveEmptyFolder(fd, "b"), 0);
  SetSystemCallHookForTesting(nullptr);
  std::vector<std::string> expected;
  for (const char* call : {"open", "write", "fsync", "flock", "chmod", "chown",
                           "utimens", "mkdir", "link", "exchange", "rename",
                           "rename_noreplace", "fsync", "unlink", "rmdir"}) {
    expected.push_back(call);
    expected.push_back(absl::StrCat(call, " made"));
  }
  EXPECT_EQ(seen, expected);
  EXPECT_EQ(ReadTestFile(folder + "/a"), "b");
  std::vector<FolderEntry> entries;
  EXPECT_EQ(ListFolder(fd, entries), 0);
  ASSERT_EQ(entries.size(), 1u);
  EXPECT_EQ(entries[0].name, "a");
}

TEST(SystemCallsTest, FailAsTheHookSaysAndDoNothing) {
  const std::string folder = MakeMemoryFolder();
  PutFile(folder + "/a", "a");
  Fd at;
  ASSERT_EQ(OpenFolder(AT_FDCWD, folder, at), 0);
  const FaultyCalls calls({.refused = "unlink", .refusal = EIO});
  EXPECT_EQ(UnlinkAt(at.get(), "a"), EIO);
  EXPECT_TRUE(fs::exists(folder + "/a"));
}

TEST(SystemCallsTest, ReturnTheErrno) {
  const std::string folder = MakeMemoryFolder();
  PutFile(folder + "/a", "a");
  PutFile(folder + "/b", "b");
  fs::create_symlink("a", folder + "/link");
  fs::create_directory(folder + "/full");
  PutFile(folder + "/full/x", "x");
  Fd at, file;
  ASSERT_EQ(OpenFolder(AT_FDCWD, folder, at), 0);
  const int fd = at.get();
  EXPECT_EQ(OpenFile(fd, "absent", O_RDONLY, file), ENOENT);
  EXPECT_FALSE(file.is_open());
  EXPECT_EQ(OpenFile(fd, "link", O_RDONLY, file), ELOOP);
  EXPECT_EQ(OpenFolder(fd, "a", file), ENOTDIR);
  EXPECT_EQ(MakeFolder(fd, "full", 0777), EEXIST);
  EXPECT_EQ(LinkAt(fd, "a", fd, "b"), EEXIST);
  EXPECT_EQ(ExchangeAt(fd, "a", fd, "absent"), ENOENT);
  EXPECT_EQ(UnlinkAt(fd, "full"), EISDIR);
  EXPECT_EQ(RemoveEmptyFolder(fd, "full"), ENOTEMPTY);
  EXPECT_EQ(RenameToFreeName(fd, "a", fd, "b"), EEXIST);
  {
    // Where the kernel cannot promise it.
    const FaultyCalls calls({.refused = "rename_noreplace", .refusal = EINVAL});
    EXPECT_EQ(RenameToFreeName(fd, "a", fd, "b"), EEXIST);
    EXPECT_EQ(RenameToFreeName(fd, "a", fd, "c"), 0);
  }
  EXPECT_EQ(ReadTestFile(folder + "/b"), "b");
  EXPECT_EQ(ReadTestFile(folder + "/c"), "a");
}

TEST(SystemCallsTest, TakeALockOnce) {
  const std::string folder = MakeMemoryFolder();
  PutFile(folder + "/lock", "");
  Fd first, second;
  ASSERT_EQ(OpenFile(AT_FDCWD, folder + "/lock", O_RDWR, first), 0);
  ASSERT_EQ(OpenFile(AT_FDCWD, folder + "/lock", O_RDWR, second), 0);
  EXPECT_EQ(LockFile(first.get()), 0);
  EXPECT_EQ(LockFile(second.get()), EWOULDBLOCK);
  { const Fd closed = std::move(first); }
  EXPECT_FALSE(first.is_open());
  EXPECT_EQ(LockFile(second.get()), 0);
}

TEST(SystemCallsTest, CopyAFileWhole) {
  const std::string folder = MakeMemoryFolder();
  std::string content(10'000'000, 'x');
  for (size_t i = 0; i < content.size(); i += 1000) content[i] = i >> 10;
  PutFile(folder + "/a", content);
  Fd at;
  ASSERT_EQ(OpenFolder(AT_FDCWD, folder, at), 0);
  EXPECT_EQ(CopyFileAt(at.get(), "a", at.get(), "b"), 0);
  EXPECT_TRUE(ReadTestFile(folder + "/b") == content);
  EXPECT_EQ(CopyFileAt(at.get(), "a", at.get(), "b"), EEXIST);
  EXPECT_EQ(CopyFileAt(at.get(), "absent", at.get(), "c"), ENOENT);
}

TEST(SystemCallsTest, ReadOneByteMoreThanAsked) {
  const std::string path = MakeMemoryFolder() + "/a";
  PutFile(path, std::string(200'000, 'x'));
  for (const size_t max_bytes : {0, 10, 100'000, 199'999, 200'000, 300'000}) {
    Fd file;
    ASSERT_EQ(OpenFile(AT_FDCWD, path, O_RDONLY, file), 0);
    std::string bytes;
    EXPECT_EQ(ReadUpTo(file.get(), max_bytes, bytes), 0);
    EXPECT_EQ(bytes.size(), std::min<size_t>(max_bytes + 1, 200'000));
  }
}

TEST(SystemCallsTest, KnowMountPoints) {
  Fd proc, plain;
  ASSERT_EQ(OpenFolder(AT_FDCWD, "/proc", proc), 0);
  ASSERT_EQ(OpenFolder(AT_FDCWD, MakeMemoryFolder(), plain), 0);
  EXPECT_TRUE(IsMountPoint(proc.get()));
  EXPECT_FALSE(IsMountPoint(plain.get()));
}

TEST(SystemCallsTest, SayWhatFailed) {
  EXPECT_THAT(CallFailed("some/path", "saved into", ENOSPC),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       HasSubstr("some/path: cannot be saved into: No space "
                                 "left on device; free some space")));
  EXPECT_THAT(CallFailed("p", "opened", EACCES),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       HasSubstr("p: cannot be opened: Permission denied")));
}

}  // namespace
}  // namespace checkpoint_internal
}  // namespace pretrained
