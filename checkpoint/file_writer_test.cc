#include "checkpoint/file_writer.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "checkpoint/safetensors_testutil.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using checkpoint_testing::MakeTestFolder;
using checkpoint_testing::ReadTestFile;
using ::testing::HasSubstr;

// A folder of this test's own, with a blank in its name.
std::string Folder() {
  return MakeTestFolder(absl::StrCat(
      "file writer ",
      ::testing::UnitTest::GetInstance()->current_test_info()->name()));
}

size_t FilesIn(const std::string& folder) {
  return std::distance(std::filesystem::directory_iterator(folder),
                       std::filesystem::directory_iterator());
}

TEST(FileWriterTest, PutsTheFileInPlaceOnCommit) {
  const std::string folder = Folder();
  const std::string path = folder + "/a.bin";
  absl::StatusOr<FileWriter> file = FileWriter::Create(path);
  ASSERT_THAT(file, IsOk());
  EXPECT_THAT(file->Append("ab"), IsOk());
  EXPECT_THAT(file->Append("cd"), IsOk());
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_THAT(file->Commit(), IsOk());
  EXPECT_EQ(ReadTestFile(path), "abcd");
  EXPECT_EQ(FilesIn(folder), 1u);
}

TEST(FileWriterTest, KeepsTheOldFileUntilCommit) {
  const std::string folder = Folder();
  const std::string path = folder + "/a.bin";
  std::ofstream(path) << "old";
  {
    absl::StatusOr<FileWriter> file = FileWriter::Create(path);
    ASSERT_THAT(file, IsOk());
    EXPECT_THAT(file->Append("new"), IsOk());
    FileWriter moved = *std::move(file);
    EXPECT_EQ(ReadTestFile(path), "old");
  }
  EXPECT_EQ(ReadTestFile(path), "old");
  EXPECT_EQ(FilesIn(folder), 1u) << "an abandoned file must go";
}

TEST(FileWriterTest, GivesTheFileTheModeOfANewFile) {
  const std::string path = Folder() + "/a.bin";
  const mode_t mask = umask(022);
  absl::StatusOr<FileWriter> file = FileWriter::Create(path);
  ASSERT_THAT(file, IsOk());
  EXPECT_THAT(file->Commit(), IsOk());
  umask(mask);
  struct stat found {};
  ASSERT_EQ(stat(path.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0644u);
}

TEST(FileWriterTest, SaysWhyAFileCannotBeMade) {
  const std::string folder = Folder();
  EXPECT_THAT(FileWriter::Create(folder + "/absent/a.bin"),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("absent/a.bin: cannot be created")));
  EXPECT_THAT(
      FileWriter::Create(folder),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is a folder")));
}

TEST(FileWriterTest, RefusesAFolderThatMayNotBeWritten) {
  if (geteuid() == 0) {
    // Root may write anywhere but here.
    EXPECT_FALSE(FileWriter::Create("/proc/a.bin").ok());
    return;
  }
  const std::string folder = Folder();
  ASSERT_EQ(chmod(folder.c_str(), 0555), 0);
  EXPECT_THAT(FileWriter::Create(folder + "/a.bin"),
              StatusIs(absl::StatusCode::kPermissionDenied));
}

// A limit on the size of files stands in for a full disk.
TEST(FileWriterTest, ReportsBytesThatDoNotFitAndLeavesTheOldFile) {
  const std::string folder = Folder();
  const std::string path = folder + "/a.bin";
  std::ofstream(path) << "old";
  signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{.rlim_cur = 1000, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  {
    absl::StatusOr<FileWriter> file = FileWriter::Create(path);
    ASSERT_THAT(file, IsOk());
    const absl::Status status = file->Append(std::string(5000, 'x'));
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(status.message(), HasSubstr("a.bin: cannot be written"));
  }
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(ReadTestFile(path), "old");
  EXPECT_EQ(FilesIn(folder), 1u);
}

}  // namespace
}  // namespace pretrained
