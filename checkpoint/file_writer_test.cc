#include "checkpoint/file_writer.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <cstdint>
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

// Not synced, but as whole, under its name, and alone.
TEST(FileWriterTest, CachedFilesAreAsWhole) {
  const std::string folder = Folder();
  const std::string path = folder + "/a.bin";
  absl::StatusOr<FileWriter> file =
      FileWriter::Create(path, Durability::kCached);
  ASSERT_THAT(file, IsOk());
  EXPECT_THAT(file->Append(std::string(20 << 20, 'a')), IsOk());
  EXPECT_FALSE(std::filesystem::exists(path));
  FileWriter moved = *std::move(file);
  EXPECT_THAT(moved.Commit(), IsOk());
  EXPECT_EQ(std::filesystem::file_size(path), 20 << 20);
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

TEST(FileWriterTest, OverwritesWithinWhatIsWritten) {
  const std::string path = Folder() + "/a.bin";
  absl::StatusOr<FileWriter> file = FileWriter::Create(path);
  ASSERT_THAT(file, IsOk());
  EXPECT_EQ(file->size_bytes(), 0);
  EXPECT_THAT(file->Append("abcdef"), IsOk());
  EXPECT_THAT(file->WriteAt(1, "XY"), IsOk());
  EXPECT_THAT(file->WriteAt(6, ""), IsOk());
  EXPECT_THAT(file->Append("gh"), IsOk()) << "goes on at the end";
  EXPECT_EQ(file->size_bytes(), 8);
  for (const int64_t offset : {int64_t{-1}, int64_t{7}, INT64_MAX}) {
    EXPECT_THAT(file->WriteAt(offset, "ZZ"),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("beyond the 8 written")));
  }
  FileWriter moved = *std::move(file);
  EXPECT_EQ(moved.size_bytes(), 8);
  EXPECT_THAT(moved.Commit(), IsOk());
  EXPECT_EQ(ReadTestFile(path), "aXYdefgh");
}

// More than is written back at once, in pieces that do not divide it.
TEST(FileWriterTest, WritesLargeFilesWhole) {
  const std::string path = Folder() + "/a.bin";
  absl::StatusOr<FileWriter> file = FileWriter::Create(path);
  ASSERT_THAT(file, IsOk());
  std::string all;
  for (int i = 0; all.size() < 20'000'000; ++i) {
    const std::string piece(1'000'003, static_cast<char>('a' + i % 26));
    ASSERT_THAT(file->Append(piece), IsOk());
    all += piece;
  }
  ASSERT_THAT(file->WriteAt(0, "#"), IsOk());
  all[0] = '#';
  ASSERT_THAT(file->Commit(), IsOk());
  EXPECT_TRUE(ReadTestFile(path) == all);
}

TEST(FileWriterTest, NamesTheFileOnce) {
  const absl::Status status = absl::DataLossError("tensor 'a': torn");
  EXPECT_THAT(
      NamingFile("/x/a.bin", status),
      StatusIs(absl::StatusCode::kDataLoss, "/x/a.bin: tensor 'a': torn"));
  EXPECT_EQ(NamingFile("/x/a.bin", NamingFile("/x/a.bin", status)),
            NamingFile("/x/a.bin", status));
  EXPECT_THAT(NamingFile("/x/a.bin", absl::OkStatus()), IsOk());
}

}  // namespace
}  // namespace pretrained
