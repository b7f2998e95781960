#include "checkpoint/save/staging_folder.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <map>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "checkpoint/save/save_record.h"
#include "checkpoint/save/save_testutil.h"
#include "checkpoint/save/system_calls.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

namespace fs = std::filesystem;
using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using checkpoint_testing::Content;
using checkpoint_testing::FaultyCalls;
using checkpoint_testing::Leftovers;
using checkpoint_testing::MakeMemoryFolder;
using checkpoint_testing::PutFile;
using ::testing::IsEmpty;
using ::testing::SizeIs;

SaveTarget TargetIn(const std::string& base) {
  fs::create_directory(base + "/model");
  absl::StatusOr<SaveTarget> target = ResolveSaveTarget(base + "/model");
  EXPECT_THAT(target, IsOk());
  return *std::move(target);
}

TEST(StagingFolderTest, ResolvesEveryNameOfAFolder) {
  const std::string base = fs::canonical(MakeMemoryFolder());
  fs::create_directory(base + "/real");
  fs::create_directory_symlink("real", base + "/link");
  fs::create_directory_symlink("new", base + "/link to new");
  const std::string before = fs::current_path();
  fs::current_path(base);
  for (const absl::string_view path :
       {"real", "real/", "./real//", "link", "link/", "real/../link/."}) {
    const absl::StatusOr<SaveTarget> target =
        ResolveSaveTarget(std::string(path));
    ASSERT_THAT(target, IsOk()) << path;
    EXPECT_EQ(target->path, base + "/real");
    EXPECT_EQ(target->parent, base);
    EXPECT_EQ(target->name, "real");
    EXPECT_TRUE(target->exists);
  }
  for (const absl::string_view path : {"new", "real/../new/", "link to new"}) {
    const absl::StatusOr<SaveTarget> target =
        ResolveSaveTarget(std::string(path));
    ASSERT_THAT(target, IsOk()) << path;
    EXPECT_EQ(target->path, base + "/new");
    EXPECT_FALSE(target->exists);
  }
  const absl::StatusOr<SaveTarget> root = ResolveSaveTarget("/");
  ASSERT_THAT(root, IsOk());
  EXPECT_EQ(root->path, "/");
  EXPECT_EQ(root->name, "");
  EXPECT_FALSE(ResolveSaveTarget("new/below").ok());
  fs::current_path(before);
}

TEST(StagingFolderTest, StandsBesideOrInside) {
  const std::string base = MakeMemoryFolder();
  const SaveTarget target = TargetIn(base);
  for (const bool inside : {false, true}) {
    int error = -1;
    absl::StatusOr<StagingFolder> staging =
        StagingFolder::Create(target, inside, &error);
    ASSERT_THAT(staging, IsOk());
    EXPECT_EQ(error, 0);
    EXPECT_TRUE(fs::is_directory(staging->tree_path()));
    EXPECT_EQ(fs::path(staging->path()).parent_path(),
              inside ? target.path : target.parent);
    EXPECT_THAT(Leftovers(target.path), SizeIs(1));
    PutFile(staging->tree_path() + "/file", "x");
    staging->Remove();
    EXPECT_FALSE(staging->is_open());
    EXPECT_THAT(Leftovers(target.path), IsEmpty());
  }
}

TEST(StagingFolderTest, TellsTheErrnoAndLeavesNothing) {
  const SaveTarget target = TargetIn(MakeMemoryFolder());
  for (const absl::string_view call : {"mkdir", "open", "flock"}) {
    for (int at = 0; at < 2; ++at) {
      SCOPED_TRACE(absl::StrCat(call, at));
      if (call == "flock" && at > 0) continue;
      const FaultyCalls calls({.kind = checkpoint_testing::Fault::Kind::kFail,
                               .at = at,
                               .error = EACCES,
                               .only = call});
      int error = 0;
      EXPECT_THAT(StagingFolder::Create(target, false, &error),
                  StatusIs(absl::StatusCode::kPermissionDenied));
      EXPECT_EQ(error, EACCES);
    }
    EXPECT_THAT(ClearLeftovers(target, ""), IsOk());
    EXPECT_THAT(Leftovers(target.path), IsEmpty());
  }
}

TEST(StagingFolderTest, ClearsWhatIsLeftAndNotWhatIsInUse) {
  const SaveTarget target = TargetIn(MakeMemoryFolder());
  int error = 0;
  absl::StatusOr<StagingFolder> own =
      StagingFolder::Create(target, false, &error);
  ASSERT_THAT(own, IsOk());
  for (const bool inside : {false, true}) {
    absl::StatusOr<StagingFolder> other =
        StagingFolder::Create(target, inside, &error);
    ASSERT_THAT(other, IsOk());
    PutFile(other->tree_path() + "/file", "x");
    EXPECT_THAT(ClearLeftovers(target, own->name()),
                StatusIs(absl::StatusCode::kUnavailable));
    const std::string path = other->path();
    // Closed without Remove(), as the kernel does for who is killed.
    { const StagingFolder killed = *std::move(other); }
    EXPECT_TRUE(fs::exists(path + "/tree/file"));
    EXPECT_THAT(ClearLeftovers(target, own->name()), IsOk());
    EXPECT_FALSE(fs::exists(path));
    EXPECT_TRUE(fs::exists(own->path()));
  }
}

// Where locks cannot tell whether somebody is alive, nothing is removed.
TEST(StagingFolderTest, LeavesTheRestAloneWithoutLocks) {
  const SaveTarget target = TargetIn(MakeMemoryFolder());
  int error = 0;
  std::string path;
  {
    absl::StatusOr<StagingFolder> killed =
        StagingFolder::Create(target, false, &error);
    ASSERT_THAT(killed, IsOk());
    path = killed->path();
  }
  {
    const FaultyCalls calls({.refused = "flock", .refusal = ENOLCK});
    EXPECT_THAT(ClearLeftovers(target, ""), IsOk());
  }
  EXPECT_TRUE(fs::exists(path));
}

// A staging folder is made before its lock, and its lock is the last to go.
TEST(StagingFolderTest, ClearsOnesWithoutALock) {
  const std::string base = MakeMemoryFolder();
  const SaveTarget target = TargetIn(base);
  fs::create_directory(base + "/" + BesideStagingName("model", 1));
  fs::create_directories(base + "/" + BesideStagingName("model", 2) + "/tree");
  fs::create_directories(base + "/model/" + InsideStagingName(3) + "/gone");
  EXPECT_THAT(ClearLeftovers(target, ""), IsOk());
  EXPECT_THAT(Leftovers(target.path), IsEmpty());
}

// What a journal names is not left over: it is what the folder is to become.
TEST(StagingFolderTest, FinishesWhatAJournalNamesBeforeItClears) {
  const std::string base = MakeMemoryFolder();
  const SaveTarget target = TargetIn(base);
  int error = 0;
  absl::StatusOr<StagingFolder> staging =
      StagingFolder::Create(target, true, &error);
  ASSERT_THAT(staging, IsOk());
  PutFile(staging->tree_path() + "/a", "new");
  PutFile(target.path + "/a", "old");
  PutFile(
      absl::StrCat(target.path, "/", kJournalName),
      SaveRecord{.staging = staging->name(), .new_names = {"a"}}.Serialize());
  { const StagingFolder killed = *std::move(staging); }
  EXPECT_THAT(ClearLeftovers(target, ""), IsOk());
  EXPECT_EQ(Content(target.path),
            (std::map<std::string, std::string>{{"a", "new"}}));
}

}  // namespace
}  // namespace checkpoint_internal
}  // namespace pretrained
