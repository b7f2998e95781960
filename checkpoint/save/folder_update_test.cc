#include "checkpoint/save/folder_update.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "checkpoint/safetensors_testutil.h"
#include "checkpoint/save/save_testutil.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

namespace fs = std::filesystem;
using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using checkpoint_testing::Content;
using checkpoint_testing::Fault;
using checkpoint_testing::FaultyCalls;
using checkpoint_testing::Leftovers;
using checkpoint_testing::MakeMemoryFolder;
using checkpoint_testing::MakeTestFolder;
using checkpoint_testing::PutFile;
using checkpoint_testing::PutOldFiles;
using checkpoint_testing::UpdateFolder;
using checkpoint_testing::WriteNew;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Files = std::map<std::string, std::string>;

// Every way in which the switch is made.
struct Way {
  const char* name;
  Fault fault;
  bool swaps = false;  // Whether a folder is swapped for another.
};

const Way kWays[] = {
    {"exchange", {}, true},
    {"no exchange: EXDEV", {.refused = "exchange", .refusal = EXDEV}},
    {"no exchange: EINVAL", {.refused = "exchange", .refusal = EINVAL}},
    {"no exchange: EBUSY", {.refused = "exchange", .refusal = EBUSY}},
    {"no exchange: ENOSYS", {.refused = "exchange", .refusal = ENOSYS}},
    {"no links: EPERM", {.refused = "link", .refusal = EPERM}},
    {"no links: EMLINK", {.refused = "link", .refusal = EMLINK}},
    // The first staging folder, beside.
    {"parent: EACCES",
     {.kind = Fault::Kind::kFail, .error = EACCES, .only = "mkdir"}},
    {"parent: EROFS",
     {.kind = Fault::Kind::kFail, .error = EROFS, .only = "mkdir"}},
    // From beside to inside, as between two quotas.
    {"staged elsewhere: EXDEV",
     {.kind = Fault::Kind::kFail,
      .error = EXDEV,
      .only = "rename",
      .refused = "exchange",
      .refusal = EXDEV}},
    {"no locks", {.refused = "flock", .refusal = ENOLCK}, true},
    {"no rename without replacing",
     {.refused = "rename_noreplace", .refusal = EINVAL},
     true},
    {"no mode for the new folder", {.refused = "chmod", .refusal = EPERM}},
};

class FolderUpdateTest : public ::testing::TestWithParam<Way> {};

TEST_P(FolderUpdateTest, ReplacesAddsAndRemovesAndKeepsTheRest) {
  const std::string folder = MakeMemoryFolder() + "/model";
  fs::create_directory(folder);
  SCOPED_TRACE(GetParam().name);
  Files expected = PutOldFiles(folder);
  struct stat before, after;
  ASSERT_EQ(stat(folder.c_str(), &before), 0);
  {
    const FaultyCalls calls(GetParam().fault);
    EXPECT_THAT(UpdateFolder(folder, {{"a", "new a"}, {"c", "new c"}},
                             {"stale", "absent"}),
                IsOk());
  }
  expected["a"] = "new a";
  expected["c"] = "new c";
  expected.erase("stale");
  EXPECT_EQ(Content(folder), expected);
  EXPECT_THAT(Leftovers(folder), IsEmpty());
  ASSERT_EQ(stat(folder.c_str(), &after), 0);
  EXPECT_EQ(before.st_ino != after.st_ino, GetParam().swaps);
}

TEST_P(FolderUpdateTest, ReplacesOneFile) {
  const std::string folder = MakeMemoryFolder() + "/model";
  fs::create_directory(folder);
  Files expected = PutOldFiles(folder);
  {
    const FaultyCalls calls(GetParam().fault);
    EXPECT_THAT(UpdateFolder(folder, {{"a", "new a"}}), IsOk());
  }
  expected["a"] = "new a";
  EXPECT_EQ(Content(folder), expected);
  EXPECT_THAT(Leftovers(folder), IsEmpty());
}

TEST_P(FolderUpdateTest, OnlyRemoves) {
  if (GetParam().fault.only == "rename") GTEST_SKIP() << "nothing is staged";
  const std::string folder = MakeMemoryFolder() + "/model";
  fs::create_directory(folder);
  Files expected = PutOldFiles(folder);
  {
    const FaultyCalls calls(GetParam().fault);
    EXPECT_THAT(UpdateFolder(folder, {}, {"stale", "b"}), IsOk());
  }
  expected.erase("stale");
  expected.erase("b");
  EXPECT_EQ(Content(folder), expected);
  EXPECT_THAT(Leftovers(folder), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Ways, FolderUpdateTest, ::testing::ValuesIn(kWays),
                         [](const auto& info) {
                           return absl::StrCat("Way", info.index);
                         });

TEST(FolderUpdateFolderTest, MakesAFolderThatIsNotThere) {
  const std::string base = MakeTestFolder("update makes");
  fs::remove_all(base);
  const std::string folder = base + "/not/yet/there";
  EXPECT_THAT(UpdateFolder(folder, {{"a", "1"}, {"b", "2"}}), IsOk());
  EXPECT_EQ(Content(folder), (Files{{"a", "1"}, {"b", "2"}}));
  EXPECT_EQ(Content(base).size(), 5u);
  struct stat made, plain;
  fs::create_directory(base + "/plain");
  ASSERT_EQ(stat(folder.c_str(), &made), 0);
  ASSERT_EQ(stat((base + "/plain").c_str(), &plain), 0);
  EXPECT_EQ(made.st_mode, plain.st_mode);
}

TEST(FolderUpdateFolderTest, LeavesNothingOfAFolderThatItDoesNotMake) {
  const std::string base = MakeTestFolder("update does not make");
  {
    absl::StatusOr<FolderUpdate> update =
        FolderUpdate::Begin(base + "/not/there/");
    ASSERT_THAT(update, IsOk());
    EXPECT_THAT(WriteNew(*update, "a", "1"), IsOk());
    EXPECT_FALSE(fs::exists(base + "/not/there"));
  }
  EXPECT_THAT(Content(base), IsEmpty());
}

// Another program makes the folder while the first files are being written.
TEST(FolderUpdateFolderTest, JoinsAFolderThatComesMeanwhile) {
  const std::string folder = MakeMemoryFolder() + "/model";
  absl::StatusOr<FolderUpdate> update = FolderUpdate::Begin(folder);
  ASSERT_THAT(update, IsOk());
  EXPECT_THAT(WriteNew(*update, "a", "1"), IsOk());
  EXPECT_THAT(WriteNew(*update, "b", "2"), IsOk());
  fs::create_directory(folder);
  PutFile(folder + "/tokenizer", "3");
  EXPECT_THAT(update->Commit(), IsOk());
  EXPECT_EQ(Content(folder),
            (Files{{"a", "1"}, {"b", "2"}, {"tokenizer", "3"}}));
  EXPECT_THAT(Leftovers(folder), IsEmpty());
}

TEST(FolderUpdateFolderTest, TakesAFolderByAnyOfItsNames) {
  const std::string base = MakeMemoryFolder();
  fs::create_directories(base + "/real/model");
  fs::create_directory_symlink("real/model", base + "/link");
  fs::create_directory_symlink(base + "/link", base + "/link to link");
  const std::string before = fs::current_path();
  int round = 0;
  const auto check = [&](const std::string& name) {
    SCOPED_TRACE(name);
    const std::string text = absl::StrCat(++round);
    EXPECT_THAT(UpdateFolder(name, {{"a", text}, {"b", text}}), IsOk());
    EXPECT_EQ(Content(base + "/real/model"), (Files{{"a", text}, {"b", text}}));
    EXPECT_THAT(Leftovers(base + "/real/model"), IsEmpty());
    EXPECT_TRUE(fs::is_symlink(base + "/link"));
  };
  check(base + "/link");
  check(base + "/link to link/");
  check(base + "/real/model///");
  check(base + "/real/../real/./model/.");
  ASSERT_EQ(chdir((base + "/real").c_str()), 0);
  check("model");
  check("./model/");
  check("../link");
  // The current folder must still be the one of that path afterwards.
  ASSERT_EQ(chdir((base + "/real/model").c_str()), 0);
  check(".");
  check("../model");
  check("./");
  EXPECT_TRUE(fs::exists("a"));
  EXPECT_EQ(fs::current_path(), base + "/real/model");
  ASSERT_EQ(chdir(before.c_str()), 0);
}

TEST(FolderUpdateFolderTest, FollowsALinkToAFolderThatIsNotThere) {
  const std::string base = MakeMemoryFolder();
  fs::create_directory_symlink("made", base + "/link");
  EXPECT_THAT(UpdateFolder(base + "/link", {{"a", "1"}, {"b", "2"}}), IsOk());
  EXPECT_EQ(Content(base + "/made"), (Files{{"a", "1"}, {"b", "2"}}));
  EXPECT_TRUE(fs::is_symlink(base + "/link"));
}

TEST(FolderUpdateFolderTest, TakesAFolderWithALongName) {
  const std::string folder = MakeMemoryFolder() + "/" + std::string(255, 'x');
  EXPECT_THAT(UpdateFolder(folder, {{"a", "1"}, {"b", "2"}}), IsOk());
  EXPECT_THAT(UpdateFolder(folder, {{"a", "3"}, {"b", "4"}}), IsOk());
  EXPECT_EQ(Content(folder), (Files{{"a", "3"}, {"b", "4"}}));
  EXPECT_THAT(Leftovers(folder), IsEmpty());
}

TEST(FolderUpdateFolderTest, RefusesWhatIsNoFolder) {
  const std::string base = MakeMemoryFolder();
  PutFile(base + "/file", "x");
  EXPECT_THAT(FolderUpdate::Begin(base + "/file"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("file: is a file, but a folder")));
  EXPECT_FALSE(FolderUpdate::Begin(base + "/file/below").ok());
  EXPECT_FALSE(FolderUpdate::Begin("").ok());
  EXPECT_FALSE(FolderUpdate::Begin("/proc/no-such-folder").ok());
  fs::create_symlink("loop", base + "/loop");
  EXPECT_FALSE(FolderUpdate::Begin(base + "/loop").ok());
  EXPECT_EQ(Content(base).size(), 2u);
}

TEST(FolderUpdateFolderTest, RefusesNamesThatAreNotPlain) {
  const std::string folder = MakeMemoryFolder();
  fs::create_directory(folder + "/sub");
  absl::StatusOr<FolderUpdate> update = FolderUpdate::Begin(folder);
  ASSERT_THAT(update, IsOk());
  for (const std::string& name : std::vector<std::string>{
           "", ".", "..", "a/b", "/a", "../a", std::string("a\0b", 3), "sub",
           ".pretrained-save.journal", std::string(256, 'x')}) {
    SCOPED_TRACE(name);
    EXPECT_THAT(update->NewFile(name),
                StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(update->Remove(name),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
}

TEST(FolderUpdateFolderTest, NeedsEveryNewFileToBeWritten) {
  const std::string folder = MakeMemoryFolder();
  PutFile(folder + "/a", "old");
  absl::StatusOr<FolderUpdate> update = FolderUpdate::Begin(folder);
  ASSERT_THAT(update, IsOk());
  EXPECT_THAT(WriteNew(*update, "a", "new"), IsOk());
  EXPECT_THAT(update->NewFile("b"), IsOk());
  EXPECT_THAT(update->Commit(), StatusIs(absl::StatusCode::kFailedPrecondition,
                                         HasSubstr("'b' was announced")));
  EXPECT_THAT(update->Commit(), StatusIs(absl::StatusCode::kFailedPrecondition,
                                         HasSubstr("called before")));
  EXPECT_THAT(update->NewFile("a"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(update->Remove("a"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(Content(folder), (Files{{"a", "old"}}));
  EXPECT_THAT(Leftovers(folder), IsEmpty());
}

TEST(FolderUpdateFolderTest, ChangesNothingWithoutCommit) {
  const std::string folder = MakeMemoryFolder();
  const Files old = PutOldFiles(folder);
  {
    absl::StatusOr<FolderUpdate> update = FolderUpdate::Begin(folder);
    ASSERT_THAT(update, IsOk());
    EXPECT_THAT(WriteNew(*update, "a", "new"), IsOk());
    EXPECT_THAT(update->Remove("stale"), IsOk());
    FolderUpdate moved = *std::move(update);
    EXPECT_EQ(Content(folder), old);
  }
  EXPECT_EQ(Content(folder), old);
  EXPECT_THAT(Leftovers(folder), IsEmpty());
}

TEST(FolderUpdateFolderTest, KeepsModesOwnersTimesAndSpecialFiles) {
  const std::string base = MakeMemoryFolder();
  const std::string folder = base + "/model";
  fs::create_directories(folder + "/sub");
  PutFile(folder + "/sub/file", "x");
  ASSERT_EQ(mkfifo((folder + "/pipe").c_str(), 0600), 0);
  ASSERT_EQ(chdir(folder.c_str()), 0);
  const int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = "socket"};
  ASSERT_EQ(
      bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof(address)),
      0);
  ASSERT_EQ(chdir("/"), 0);
  const timespec times[2] = {{.tv_sec = 1'000'000}, {.tv_sec = 2'000'000}};
  ASSERT_EQ(utimensat(AT_FDCWD, (folder + "/sub").c_str(), times, 0), 0);
  ASSERT_EQ(chmod((folder + "/sub").c_str(), 0750), 0);
  ASSERT_EQ(chmod(folder.c_str(), 02711), 0);
  struct stat folder_before, file_before;
  ASSERT_EQ(stat(folder.c_str(), &folder_before), 0);
  ASSERT_EQ(stat((folder + "/sub/file").c_str(), &file_before), 0);
  EXPECT_THAT(UpdateFolder(folder, {{"a", "1"}, {"b", "2"}}), IsOk());
  struct stat now;
  ASSERT_EQ(stat(folder.c_str(), &now), 0);
  EXPECT_NE(now.st_ino, folder_before.st_ino) << "this is about a swap";
  EXPECT_EQ(now.st_mode, folder_before.st_mode);
  EXPECT_EQ(now.st_uid, folder_before.st_uid);
  EXPECT_EQ(now.st_gid, folder_before.st_gid);
  ASSERT_EQ(stat((folder + "/sub").c_str(), &now), 0);
  EXPECT_EQ(now.st_mode & 07777, 0750u);
  EXPECT_EQ(now.st_mtim.tv_sec, 2'000'000);
  ASSERT_EQ(stat((folder + "/sub/file").c_str(), &now), 0);
  EXPECT_EQ(now.st_ino, file_before.st_ino);
  EXPECT_EQ(now.st_nlink, 1u);
  ASSERT_EQ(stat((folder + "/pipe").c_str(), &now), 0);
  EXPECT_TRUE(S_ISFIFO(now.st_mode));
  ASSERT_EQ(stat((folder + "/socket").c_str(), &now), 0);
  EXPECT_TRUE(S_ISSOCK(now.st_mode));
  close(listener);
}

// The error is told, the folder is as it was, and nothing lies about.
TEST(FolderUpdateFolderTest, ReportsAFullDisk) {
  const std::string folder = MakeMemoryFolder();
  const Files old = PutOldFiles(folder);
  for (const absl::string_view call : {"mkdir", "link", "fsync", "write"}) {
    SCOPED_TRACE(call);
    const FaultyCalls calls(
        {.kind = Fault::Kind::kFail, .error = ENOSPC, .only = call});
    EXPECT_THAT(UpdateFolder(folder, {{"a", "1"}, {"c", "2"}}, {"stale"}),
                StatusIs(absl::StatusCode::kResourceExhausted,
                         HasSubstr("free some space")));
    EXPECT_EQ(Content(folder), old);
    EXPECT_THAT(Leftovers(folder), IsEmpty());
  }
}

}  // namespace
}  // namespace pretrained
