#include "checkpoint/mapped_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "checkpoint/safetensors_testutil.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using checkpoint_testing::MakeTestFolder;
using checkpoint_testing::ReadTestFile;
using checkpoint_testing::WriteTestFile;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::unique_ptr<MappedFile> OpenOrDie(const std::string& path) {
  absl::StatusOr<std::unique_ptr<MappedFile>> file = MappedFile::Open(path);
  EXPECT_THAT(file, IsOk());
  return *std::move(file);
}

TEST(MappedFileTest, ReadsAnyRange) {
  const auto file = OpenOrDie(WriteTestFile("range", "0123456789"));
  EXPECT_EQ(file->size_bytes(), 10);
  std::string four(4, '?');
  ASSERT_THAT(file->Read(3, absl::MakeSpan(four)), IsOk());
  EXPECT_EQ(four, "3456");
  ASSERT_THAT(file->Read(10, {}), IsOk());
}

TEST(MappedFileTest, RefusesRangesOutsideTheFile) {
  const auto file = OpenOrDie(WriteTestFile("outside", "0123456789"));
  std::string four(4, '?');
  for (const int64_t offset : {int64_t{-1}, int64_t{7}, int64_t{11},
                               std::numeric_limits<int64_t>::max()}) {
    EXPECT_THAT(file->Read(offset, absl::MakeSpan(four)),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("do not lie within its 10")))
        << offset;
  }
}

TEST(MappedFileTest, MapsOnceAndLazily) {
  auto file = OpenOrDie(WriteTestFile("map", "0123456789"));
  absl::StatusOr<std::shared_ptr<char>> one = file->Map();
  absl::StatusOr<std::shared_ptr<char>> two = file->Map();
  ASSERT_THAT(one, IsOk());
  ASSERT_THAT(two, IsOk());
  EXPECT_EQ(one->get(), two->get());
  file.reset();
  EXPECT_EQ(std::string(one->get(), 10), "0123456789");
}

TEST(MappedFileTest, KeepsWritesToTheMapPrivate) {
  const std::string path = WriteTestFile("private", "0123456789");
  const auto file = OpenOrDie(path);
  absl::StatusOr<std::shared_ptr<char>> map = file->Map();
  ASSERT_THAT(map, IsOk());
  std::memset(map->get(), 'x', 10);
  EXPECT_EQ(ReadTestFile(path), "0123456789");
}

TEST(MappedFileTest, MapsAnEmptyFileToNull) {
  const auto file = OpenOrDie(WriteTestFile("empty", ""));
  absl::StatusOr<std::shared_ptr<char>> map = file->Map();
  ASSERT_THAT(map, IsOk());
  EXPECT_EQ(map->get(), nullptr);
}

TEST(MappedFileTest, ReportsAFileCutShortMeanwhile) {
  const std::string path = WriteTestFile("cut", "0123456789");
  const auto file = OpenOrDie(path);
  EXPECT_THAT(file->CheckUnchanged(), IsOk());
  ASSERT_EQ(truncate(path.c_str(), 6), 0);
  std::string four(4, '?');
  EXPECT_THAT(file->Read(2, absl::MakeSpan(four)), IsOk());
  EXPECT_THAT(
      file->Read(4, absl::MakeSpan(four)),
      StatusIs(absl::StatusCode::kDataLoss,
               AllOf(HasSubstr(path), HasSubstr("cut short while being read"),
                     HasSubstr("byte 6"))));
  EXPECT_THAT(file->CheckUnchanged(),
              StatusIs(absl::StatusCode::kDataLoss,
                       AllOf(HasSubstr(path), HasSubstr("has 6 bytes"))));
}

TEST(MappedFileTest, ReportsAFileThatGrewMeanwhile) {
  const std::string path = WriteTestFile("grew", "0123456789");
  const auto file = OpenOrDie(path);
  ASSERT_EQ(truncate(path.c_str(), 11), 0);
  EXPECT_THAT(file->CheckUnchanged(), StatusIs(absl::StatusCode::kDataLoss));
}

TEST(MappedFileTest, RefusesWhatIsNotThere) {
  EXPECT_THAT(MappedFile::Open("no/such/file"),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("no/such/file"),
                             HasSubstr("there is no such file"))));
  const std::string file = WriteTestFile("a-file", "x");
  EXPECT_THAT(MappedFile::Open(file + "/below"),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(MappedFile::Open(""),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(MappedFile::Open(std::string("a\0b", 3)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("NUL")));
}

TEST(MappedFileTest, FollowsLinksAndNamesBrokenOnes) {
  const std::string target = WriteTestFile("target", "0123");
  const std::string link = target + ".link";
  unlink(link.c_str());
  ASSERT_EQ(symlink(target.c_str(), link.c_str()), 0);
  EXPECT_EQ(OpenOrDie(link)->size_bytes(), 4);
  ASSERT_EQ(unlink(target.c_str()), 0);
  EXPECT_THAT(MappedFile::Open(link),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("is a symbolic link to a file that is not")));
}

TEST(MappedFileTest, RefusesWhatIsNotAFile) {
  const std::string folder = MakeTestFolder("a-folder");
  EXPECT_THAT(MappedFile::Open(folder),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr(folder), HasSubstr("is a folder"))));

  // Without a writer: opening must not wait for one.
  const std::string pipe = folder + "/pipe";
  unlink(pipe.c_str());
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THAT(
      MappedFile::Open(pipe),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is a pipe")));

  EXPECT_THAT(
      MappedFile::Open("/dev/null"),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is a device")));
}

TEST(MappedFileTest, RefusesAFileThisUserMayNotRead) {
  const std::string path = WriteTestFile("unreadable", "x");
  ASSERT_EQ(chmod(path.c_str(), 0), 0);
  // Root may read everything; then try as nobody.
  constexpr uid_t kNobody = 65534;
  const bool is_root = geteuid() == 0;
  if (is_root && seteuid(kNobody) != 0) GTEST_SKIP() << "cannot drop rights";
  const absl::Status status = MappedFile::Open(path).status();
  if (is_root) {
    ASSERT_EQ(seteuid(0), 0);
  }
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kPermissionDenied,
                               AllOf(HasSubstr(path), HasSubstr("chmod"))));
}

}  // namespace
}  // namespace pretrained
