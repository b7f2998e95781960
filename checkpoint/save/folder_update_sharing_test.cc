// What other processes do to a folder while it is updated, and what a crash of
// the machine would find.

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "checkpoint/save/folder_update.h"
#include "checkpoint/save/save_testutil.h"
#include "checkpoint/save/system_calls.h"
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
using checkpoint_testing::PutFile;
using checkpoint_testing::PutOldFiles;
using checkpoint_testing::UpdateFolder;
using checkpoint_testing::WriteNew;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Files = std::map<std::string, std::string>;

// A log that another process has open grows on.
TEST(FolderUpdateSharingTest, LetsOthersWriteToTheFilesItKeeps) {
  const std::string folder = MakeMemoryFolder();
  PutFile(folder + "/a", "old");
  std::ofstream log(folder + "/log");
  log << "one" << std::flush;
  absl::StatusOr<FolderUpdate> update = FolderUpdate::Begin(folder);
  ASSERT_THAT(update, IsOk());
  EXPECT_THAT(WriteNew(*update, "a", "new"), IsOk());
  EXPECT_THAT(WriteNew(*update, "b", "new"), IsOk());
  log << " two" << std::flush;
  PutFile(folder + "/made meanwhile", "x");
  EXPECT_THAT(update->Commit(), IsOk());
  log << " three" << std::flush;
  EXPECT_EQ(Content(folder), (Files{{"a", "new"},
                                    {"b", "new"},
                                    {"log", "one two three"},
                                    {"made meanwhile", "x"}}));
}

TEST(FolderUpdateSharingTest, NoticesAnotherUpdate) {
  const std::string base = MakeMemoryFolder();
  for (const bool exists : {false, true}) {
    for (const bool first_inside : {false, true}) {
      if (first_inside && !exists) continue;
      SCOPED_TRACE(absl::StrCat(exists, first_inside));
      const std::string folder = absl::StrCat(base, "/", exists, first_inside);
      if (exists) fs::create_directory(folder);
      std::optional<absl::StatusOr<FolderUpdate>> first;
      {
        const FaultyCalls calls(
            {.kind = first_inside ? Fault::Kind::kFail : Fault::Kind::kNone,
             .error = EACCES,
             .only = "mkdir"});
        first = FolderUpdate::Begin(folder);
      }
      ASSERT_THAT(*first, IsOk());
      EXPECT_THAT(WriteNew(**first, "a", "1"), IsOk());
      EXPECT_THAT(FolderUpdate::Begin(folder),
                  StatusIs(absl::StatusCode::kUnavailable,
                           HasSubstr("another save into this folder")));
      EXPECT_THAT((*first)->Commit(), IsOk());
      EXPECT_THAT(UpdateFolder(folder, {{"a", "2"}}), IsOk());
      EXPECT_EQ(Content(folder), (Files{{"a", "2"}}));
      EXPECT_THAT(Leftovers(folder), IsEmpty());
    }
  }
}

// Folders whose names begin alike are no business of each other's.
TEST(FolderUpdateSharingTest, LeavesTheStagingFoldersOfOthersAlone) {
  const std::string base = MakeMemoryFolder();
  absl::StatusOr<FolderUpdate> first = FolderUpdate::Begin(base + "/model");
  ASSERT_THAT(first, IsOk());
  EXPECT_THAT(WriteNew(*first, "a", "1"), IsOk());
  for (const char* other : {"/model2", "/mod", "/model.x", "/other"}) {
    EXPECT_THAT(UpdateFolder(base + other, {{"a", "2"}}), IsOk());
  }
  fs::create_directory(base + "/.model.mine.saving");
  fs::create_directory(base + "/.model.0123456789ABCDEF.saving");
  EXPECT_THAT(first->Commit(), IsOk());
  EXPECT_THAT(UpdateFolder(base + "/model", {{"a", "3"}}), IsOk());
  EXPECT_TRUE(fs::exists(base + "/.model.mine.saving"));
  EXPECT_TRUE(fs::exists(base + "/.model.0123456789ABCDEF.saving"));
}

// What a crash of the machine leaves is what was synced; kills do not show
// that.
std::vector<std::string>* g_calls = nullptr;

std::vector<std::string> CallsOfUpdate(const std::string& folder,
                                       absl::string_view refused) {
  static std::string* const refused_call = new std::string;
  *refused_call = std::string(refused);
  std::vector<std::string> calls;
  g_calls = &calls;
  checkpoint_internal::SetSystemCallHookForTesting(
      [](absl::string_view call, bool made) {
        if (call == *refused_call) return EXDEV;
        if (made && call != "open") g_calls->push_back(std::string(call));
        return 0;
      });
  EXPECT_THAT(UpdateFolder(folder, {{"a", "1"}, {"c", "2"}}, {"stale"}),
              IsOk());
  checkpoint_internal::SetSystemCallHookForTesting(nullptr);
  return calls;
}

TEST(FolderUpdateSharingTest, SyncsBeforeAndAfterTheSwap) {
  const std::string folder = MakeMemoryFolder() + "/model";
  fs::create_directory(folder);
  PutOldFiles(folder);
  const std::vector<std::string> calls = CallsOfUpdate(folder, "");
  const auto swap = std::find(calls.begin(), calls.end(), "exchange");
  ASSERT_NE(swap, calls.end());
  // The record, the staging folder that holds it and the tree, its parent.
  EXPECT_THAT(std::vector<std::string>(swap - 4, swap + 3),
              ElementsAre("write", "fsync", "fsync", "fsync", "exchange",
                          "fsync", "fsync"));
  // The tree itself, after the last link.
  const auto linked =
      std::find(std::make_reverse_iterator(swap), calls.rend(), "link").base();
  EXPECT_GE(std::count(linked, swap - 4, "fsync"), 1);
}

TEST(FolderUpdateSharingTest, SyncsAroundTheJournal) {
  const std::string folder = MakeMemoryFolder() + "/model";
  fs::create_directory(folder);
  PutOldFiles(folder);
  const std::vector<std::string> calls = CallsOfUpdate(folder, "link");
  const auto journal = std::find(calls.begin(), calls.end(), "write");
  ASSERT_NE(journal, calls.end());
  // The folder of the staged files, which were moved there just before.
  const auto moved =
      std::find(std::make_reverse_iterator(journal), calls.rend(), "rename")
          .base();
  EXPECT_EQ(*moved, "fsync");
  EXPECT_THAT(std::vector<std::string>(journal, journal + 14),
              ElementsAre("write", "fsync", "fsync", "fsync",
                          "rename",            // The journal into place.
                          "fsync",             // It stands.
                          "rename", "rename",  // The new files.
                          "mkdir", "rename",   // The old one.
                          "fsync",             // They are there.
                          "rename",            // The journal out of the way.
                          "fsync", "unlink"));
}

// What others do between the moment in which the links were made and that of
// the swap; see the hook.
std::string* g_folder = nullptr;

int ChangeBeforeTheSwap(absl::string_view call, bool made) {
  if (call != "exchange" || made) return 0;
  PutFile(*g_folder + "/new log", "created");
  fs::create_directory(*g_folder + "/new folder");
  PutFile(*g_folder + "/new folder/x", "created, too");
  PutFile(*g_folder + "/runs/new log", "created below");
  PutFile(*g_folder + "/b.tmp", "replaced");
  fs::rename(*g_folder + "/b.tmp", *g_folder + "/b");
  PutFile(*g_folder + "/a", "lost to the new file of the name");
  return 0;
}

TEST(FolderUpdateSharingTest, KeepsWhatComesJustBeforeTheSwap) {
  std::string folder = MakeMemoryFolder() + "/model";
  fs::create_directory(folder);
  Files expected = PutOldFiles(folder);
  g_folder = &folder;
  checkpoint_internal::SetSystemCallHookForTesting(ChangeBeforeTheSwap);
  EXPECT_THAT(UpdateFolder(folder, {{"a", "1"}, {"c", "2"}}, {"stale"}),
              IsOk());
  checkpoint_internal::SetSystemCallHookForTesting(nullptr);
  expected["a"] = "1";
  expected["c"] = "2";
  expected.erase("stale");
  expected["new log"] = "created";
  expected["new folder"] = "/";
  expected["new folder/x"] = "created, too";
  expected["runs/new log"] = "created below";
  expected["b"] = "replaced";
  EXPECT_EQ(Content(folder), expected);
  EXPECT_THAT(Leftovers(folder), IsEmpty());
}

// The same, if the save is killed right after the swap: its successor does it,
// and does not bring back what was removed since.
TEST(FolderUpdateSharingTest, KeepsThatWhenKilledRightAfterTheSwap) {
  std::string folder = MakeMemoryFolder() + "/model";
  fs::create_directory(folder);
  Files expected = PutOldFiles(folder);
  g_folder = &folder;
  const pid_t child = fork();
  if (child == 0) {
    checkpoint_internal::SetSystemCallHookForTesting(
        [](absl::string_view call, bool made) {
          if (call == "exchange" && made) _exit(7);
          return ChangeBeforeTheSwap(call, made);
        });
    (void)UpdateFolder(*g_folder, {{"a", "1"}, {"c", "2"}}, {"stale"});
    _exit(1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(WEXITSTATUS(status), 7);
  EXPECT_FALSE(fs::exists(folder + "/new log"));
  fs::remove(folder + "/with blank");
  fs::remove_all(folder + "/runs/deep er");
  EXPECT_THAT(UpdateFolder(folder, {{"a", "3"}}), IsOk());
  expected["a"] = "3";
  expected["c"] = "2";
  expected.erase("stale");
  expected.erase("with blank");
  expected.erase("runs/deep er");
  expected.erase("runs/deep er/log");
  expected["new log"] = "created";
  expected["new folder"] = "/";
  expected["new folder/x"] = "created, too";
  expected["runs/new log"] = "created below";
  expected["b"] = "replaced";
  EXPECT_EQ(Content(folder), expected);
  EXPECT_THAT(Leftovers(folder), IsEmpty());
}

}  // namespace
}  // namespace pretrained
