#include "checkpoint/save/save_journal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "checkpoint/save/save_record.h"
#include "checkpoint/save/save_testutil.h"
#include "checkpoint/save/system_calls.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

namespace fs = std::filesystem;
using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using checkpoint_internal::Fd;
using checkpoint_internal::InsideStagingName;
using checkpoint_internal::kJournalName;
using checkpoint_internal::OpenFolder;
using checkpoint_internal::SaveRecord;
using checkpoint_internal::WriteJournal;
using checkpoint_testing::Content;
using checkpoint_testing::FaultyCalls;
using checkpoint_testing::MakeMemoryFolder;
using checkpoint_testing::PutFile;
using ::testing::AllOf;
using ::testing::HasSubstr;
using Files = std::map<std::string, std::string>;

// A folder with three files, and a save that is about to replace "a" by what is
// staged, to put "c", and to remove "b".
SaveRecord StageIn(const std::string& folder) {
  PutFile(folder + "/a", "old a");
  PutFile(folder + "/b", "old b");
  PutFile(folder + "/other", "other");
  const SaveRecord record{.staging = InsideStagingName(42),
                          .new_names = {"a", "c"},
                          .removed_names = {"b"}};
  const std::string tree = absl::StrCat(folder, "/", record.staging, "/tree");
  fs::create_directories(tree);
  PutFile(tree + "/a", "new a");
  PutFile(tree + "/c", "new c");
  return record;
}

void PutJournal(const std::string& folder, const SaveRecord& record) {
  Fd at, staging;
  ASSERT_EQ(OpenFolder(AT_FDCWD, folder, at), 0);
  ASSERT_EQ(OpenFolder(at.get(), record.staging, staging), 0);
  ASSERT_THAT(WriteJournal(at.get(), staging.get(), record.Serialize(), folder),
              IsOk());
}

const Files& Finished() {
  static const Files* const files =
      new Files{{"a", "new a"}, {"c", "new c"}, {"other", "other"}};
  return *files;
}

std::string JournalIn(const std::string& folder) {
  return absl::StrCat(folder, "/", kJournalName);
}

TEST(SaveJournalTest, FinishesWhatTheJournalLists) {
  const std::string folder = MakeMemoryFolder();
  PutJournal(folder, StageIn(folder));
  EXPECT_THAT(FinishInterruptedSave(folder), IsOk());
  EXPECT_EQ(Content(folder), Finished());
  EXPECT_THAT(FinishInterruptedSave(folder), IsOk());
  EXPECT_EQ(Content(folder), Finished());
}

TEST(SaveJournalTest, FinishesWhatIsDoneInPart) {
  const std::string folder = MakeMemoryFolder();
  const SaveRecord record = StageIn(folder);
  PutJournal(folder, record);
  fs::rename(folder + "/" + record.staging + "/tree/a", folder + "/a");
  fs::remove(folder + "/b");
  EXPECT_THAT(FinishInterruptedSave(folder), IsOk());
  EXPECT_EQ(Content(folder), Finished());
}

// A directory listing of a slow machine must not change this: one call.
TEST(SaveJournalTest, TakesOneCallWithoutAJournal) {
  const std::string folder = MakeMemoryFolder();
  PutFile(folder + "/a", "x");
  const FaultyCalls calls({});
  EXPECT_THAT(FinishInterruptedSave(folder), IsOk());
  EXPECT_EQ(FaultyCalls::count(), 1);
  EXPECT_THAT(FinishInterruptedSave(folder + "/absent"), IsOk());
  EXPECT_THAT(FinishInterruptedSave(folder + "/a"), IsOk());
}

TEST(SaveJournalTest, WorksThroughASymbolicLinkToTheFolder) {
  const std::string base = MakeMemoryFolder();
  const std::string folder = base + "/real";
  fs::create_directory(folder);
  fs::create_directory_symlink("real", base + "/link");
  PutJournal(folder, StageIn(folder));
  EXPECT_THAT(FinishInterruptedSave(base + "/link"), IsOk());
  EXPECT_EQ(Content(folder), Finished());
}

// Links of the Hub's cache are replaced, not followed.
TEST(SaveJournalTest, ReplacesSymbolicLinks) {
  const std::string base = MakeMemoryFolder();
  const std::string folder = base + "/snapshot";
  fs::create_directory(folder);
  const SaveRecord record = StageIn(folder);
  PutFile(base + "/blob", "the blob");
  for (const char* name : {"/a", "/b"}) {
    fs::remove(folder + name);
    fs::create_symlink("../blob", folder + name);
  }
  PutJournal(folder, record);
  EXPECT_THAT(FinishInterruptedSave(folder), IsOk());
  EXPECT_EQ(Content(folder), Finished());
  EXPECT_EQ(Content(base)["blob"], "the blob");
}

TEST(SaveJournalTest, SaysThatTheFolderMustBeWritable) {
  const std::string folder = MakeMemoryFolder();
  PutJournal(folder, StageIn(folder));
  for (const int error : {EACCES, EROFS, EPERM}) {
    const FaultyCalls calls({.refused = "rename", .refusal = error});
    const absl::Status status = FinishInterruptedSave(folder);
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(status.message(),
                AllOf(HasSubstr(folder), HasSubstr("was interrupted"),
                      HasSubstr("a user who may write")));
  }
  {
    // Of another user, who keeps his files to himself.
    const FaultyCalls calls({.refused = "open", .refusal = EACCES});
    EXPECT_THAT(FinishInterruptedSave(folder),
                StatusIs(absl::StatusCode::kPermissionDenied,
                         HasSubstr("was interrupted")));
    EXPECT_THAT(FinishInterruptedSave(MakeMemoryFolder()), IsOk());
  }
  {
    const FaultyCalls calls({.refused = "fsync", .refusal = EIO});
    const absl::Status status = FinishInterruptedSave(folder);
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(status.message(), HasSubstr("its new files are all there"));
  }
  EXPECT_THAT(FinishInterruptedSave(folder), IsOk());
  EXPECT_EQ(Content(folder), Finished());
}

// As a user who is not root, in a folder that nobody may write.
TEST(SaveJournalTest, SaysSoToAUserWhoMayNotWrite) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  const std::string folder = MakeMemoryFolder();
  PutJournal(folder, StageIn(folder));
  fs::permissions(fs::path(folder).parent_path(), fs::perms(0755));
  fs::permissions(folder, fs::perms(0755));
  const pid_t child = fork();
  if (child == 0) {
    if (setgid(65534) != 0 || setuid(65534) != 0) _exit(3);
    const absl::Status status = FinishInterruptedSave(folder);
    _exit(absl::IsPermissionDenied(status) ? 0 : 4);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  if (WEXITSTATUS(status) == 3) GTEST_SKIP() << "no other users here";
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(Content(folder)["a"], "old a");
}

TEST(SaveJournalTest, RefusesAJournalThatNoSaveWrote) {
  const std::string folder = MakeMemoryFolder();
  PutFile(folder + "/a", "old a");
  for (const std::string text :
       {"", "junk", "pretrained save 1\nnew ../x\nend\n",
        "pretrained save 1\nnew a\nend\n"}) {
    SCOPED_TRACE(text);
    PutFile(JournalIn(folder), text);
    EXPECT_THAT(FinishInterruptedSave(folder),
                StatusIs(absl::StatusCode::kDataLoss,
                         AllOf(HasSubstr(JournalIn(folder)),
                               HasSubstr("delete this one"))));
    EXPECT_EQ(Content(folder)["a"], "old a");
  }
  PutFile(JournalIn(folder), "");
  fs::resize_file(JournalIn(folder), int64_t{1} << 40);
  EXPECT_THAT(FinishInterruptedSave(folder),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("more than")));
}

TEST(SaveJournalTest, RefusesAJournalThatIsNoFile) {
  const std::string folder = MakeMemoryFolder();
  PutFile(folder + "/target", SaveRecord{}.Serialize());
  fs::create_symlink("target", JournalIn(folder));
  EXPECT_FALSE(FinishInterruptedSave(folder).ok());
  fs::remove(JournalIn(folder));
  fs::create_directory(JournalIn(folder));
  EXPECT_FALSE(FinishInterruptedSave(folder).ok());
  fs::remove(JournalIn(folder));
  // A pipe that nobody writes to must not stop us.
  ASSERT_EQ(mkfifo(JournalIn(folder).c_str(), 0600), 0);
  EXPECT_FALSE(FinishInterruptedSave(folder).ok());
}

// What a stranger's folder could do: have files from elsewhere moved into it,
// or removed.
TEST(SaveJournalTest, TouchesNothingOutsideTheFolder) {
  const std::string base = MakeMemoryFolder();
  const std::string folder = base + "/hostile";
  fs::create_directories(base + "/home/tree");
  PutFile(base + "/home/tree/a", "precious");
  PutFile(base + "/home/precious", "precious");
  fs::create_directory(folder);
  const SaveRecord record = StageIn(folder);
  const Files before = Content(base + "/home");
  const std::string staging = folder + "/" + record.staging;

  // The staging folder is a link.
  fs::rename(staging, folder + "/kept");
  fs::create_directory_symlink("../home", staging);
  PutFile(JournalIn(folder), record.Serialize());
  EXPECT_FALSE(FinishInterruptedSave(folder).ok());
  EXPECT_EQ(Content(base + "/home"), before);

  // The tree in it is.
  fs::remove(staging);
  fs::create_directory(staging);
  fs::create_directory_symlink("../../home/tree", staging + "/tree");
  EXPECT_FALSE(FinishInterruptedSave(folder).ok());
  EXPECT_EQ(Content(base + "/home"), before);

  // Something in the staging folder is: it goes, and not what it points to.
  fs::remove_all(staging);
  fs::rename(folder + "/kept", staging);
  fs::create_directory_symlink("../../../home", staging + "/tree/more");
  fs::create_directory_symlink("../../home", staging + "/gone");
  EXPECT_FALSE(FinishInterruptedSave(folder).ok());
  fs::remove(staging + "/gone");
  EXPECT_THAT(FinishInterruptedSave(folder), IsOk());
  EXPECT_EQ(Content(base + "/home"), before);
  EXPECT_EQ(Content(folder), Finished());
}

TEST(SaveJournalTest, SaysThatTheNewFilesAreGone) {
  const std::string folder = MakeMemoryFolder();
  const SaveRecord record = StageIn(folder);
  PutJournal(folder, record);
  fs::remove_all(folder + "/" + record.staging);
  EXPECT_THAT(FinishInterruptedSave(folder),
              StatusIs(absl::StatusCode::kDataLoss,
                       AllOf(HasSubstr("part old, part new"),
                             HasSubstr(std::string(kJournalName)))));
}

// A process that has read the journal and is then not run for a while, at any
// call: meanwhile another one finishes the save, and the next save has come to
// where its own journal stands.
const std::string* g_folder = nullptr;
int g_calls_to_go = 0;

void FinishAndSaveAgain() {
  const std::string& folder = *g_folder;
  ASSERT_THAT(FinishInterruptedSave(folder), IsOk());
  // As a save does that finds it without a journal.
  fs::remove_all(folder + "/" + InsideStagingName(42));
  ASSERT_EQ(Content(folder), Finished());
  // By a save that was finished, "b" is back, and by the one after it, all
  // three change.
  PutFile(folder + "/b", "later b");
  const SaveRecord record{.staging = InsideStagingName(43),
                          .new_names = {"c"},
                          .removed_names = {"other"}};
  const std::string tree = absl::StrCat(folder, "/", record.staging, "/tree");
  fs::create_directories(tree);
  PutFile(tree + "/c", "later c");
  PutJournal(folder, record);
}

TEST(SaveJournalTest, ALateReaderTouchesNothingOfALaterSave) {
  const Files expected = {{"a", "new a"}, {"b", "later b"}, {"c", "later c"}};
  bool called = true;
  int calls = 0;
  for (; called; ++calls) {
    SCOPED_TRACE(absl::StrCat("late before call ", calls));
    const std::string folder = MakeMemoryFolder();
    PutJournal(folder, StageIn(folder));
    g_folder = &folder;
    g_calls_to_go = calls;
    checkpoint_internal::SetSystemCallHookForTesting(
        [](absl::string_view call, bool made) {
          if (made || g_calls_to_go-- != 0) return 0;
          checkpoint_internal::SetSystemCallHookForTesting(nullptr);
          FinishAndSaveAgain();
          return 0;
        });
    EXPECT_THAT(FinishInterruptedSave(folder), IsOk());
    checkpoint_internal::SetSystemCallHookForTesting(nullptr);
    called = g_calls_to_go < 0;
    if (!called) break;
    EXPECT_EQ(Content(folder), expected);
  }
  EXPECT_GT(calls, 15);
}

TEST(SaveJournalTest, WritesNoJournalWhenACallFails) {
  const std::string folder = MakeMemoryFolder();
  const SaveRecord record = StageIn(folder);
  for (const absl::string_view call : {"open", "write", "fsync", "rename"}) {
    SCOPED_TRACE(call);
    Fd at, staging;
    ASSERT_EQ(OpenFolder(AT_FDCWD, folder, at), 0);
    ASSERT_EQ(OpenFolder(at.get(), record.staging, staging), 0);
    const FaultyCalls calls({.refused = call, .refusal = ENOSPC});
    EXPECT_THAT(
        WriteJournal(at.get(), staging.get(), record.Serialize(), folder),
        StatusIs(absl::StatusCode::kResourceExhausted));
    EXPECT_FALSE(fs::exists(JournalIn(folder)));
  }
}

}  // namespace
}  // namespace pretrained
