#include "checkpoint/loading/file_source.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "checkpoint/loading/fake_file_source.h"
#include "checkpoint/safetensors_testutil.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using checkpoint_testing::WriteTestFile;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::string Numbers(int64_t count) {
  std::string bytes(count, '\0');
  for (int64_t i = 0; i < count; ++i) bytes[i] = static_cast<char>(i * 31 / 7);
  return bytes;
}

std::string Read(const FileSource& source, int64_t begin, int64_t end) {
  std::string bytes(end - begin, '?');
  EXPECT_THAT(ReadRange(source, begin, end, bytes.data()), IsOk());
  return bytes;
}

// A file with these bytes, open for reading until the end.
class OpenFile {
 public:
  OpenFile(const std::string& name, const std::string& bytes)
      : path_(WriteTestFile(name, bytes)),
        fd_(open(path_.c_str(), O_RDONLY | O_CLOEXEC)) {
    EXPECT_GE(fd_, 0);
  }
  ~OpenFile() { close(fd_); }
  const std::string& path() const { return path_; }
  int fd() const { return fd_; }

 private:
  const std::string path_;
  const int fd_;
};

TEST(FileSourceTest, ReadsAnyRangeBuffered) {
  const std::string bytes = Numbers(10000);
  const OpenFile file("buffered.bin", bytes);
  const auto source = BufferedSource(file.fd(), "some name");
  EXPECT_EQ(source->alignment(), 1);
  EXPECT_EQ(source->path(), "some name");
  EXPECT_EQ(Read(*source, 0, 10000), bytes);
  EXPECT_EQ(Read(*source, 4097, 9999), bytes.substr(4097, 9999 - 4097));
  EXPECT_EQ(Read(*source, 17, 17), "");
}

std::unique_ptr<char, decltype(&std::free)> Blocks(int64_t bytes) {
  return {static_cast<char*>(std::aligned_alloc(kDirectAlignment, bytes)),
          &std::free};
}

// Where the test runs on a file system that has direct reads.
TEST(FileSourceTest, ReadsWholeBlocksDirect) {
  const std::string bytes = Numbers(10000);
  const OpenFile file("direct.bin", bytes);
  const auto source = DirectSource(file.fd(), file.path());
  if (!source.ok()) {
    EXPECT_THAT(source, StatusIs(absl::StatusCode::kUnimplemented,
                                 HasSubstr("read it buffered")));
    return;
  }
  EXPECT_EQ((*source)->alignment(), kDirectAlignment);
  const auto memory = Blocks(12288);
  // The last block is a part of one.
  ASSERT_THAT(ReadRange(**source, 4096, 10000, memory.get()), IsOk());
  EXPECT_EQ(std::string(memory.get(), 10000 - 4096), bytes.substr(4096));
}

// The open file is read, whatever its path names by now.
TEST(FileSourceTest, NoOtherFileIsReadInItsPlace) {
  const std::string bytes = Numbers(4096);
  const OpenFile file("replaced.bin", bytes);
  std::filesystem::remove(file.path());
  WriteTestFile("replaced.bin", std::string(4096, 'x'));
  EXPECT_EQ(Read(*BufferedSource(file.fd(), file.path()), 0, 4096), bytes);
  const auto direct = DirectSource(file.fd(), file.path());
  if (!direct.ok()) GTEST_SKIP() << "no direct reads here";
  const auto memory = Blocks(4096);
  ASSERT_THAT(ReadRange(**direct, 0, 4096, memory.get()), IsOk());
  EXPECT_EQ(std::string(memory.get(), 4096), bytes);
}

TEST(ReadRangeTest, GoesOnAfterShortReadsAndInterruptions) {
  FakeFileSource source(Numbers(1000));
  source.longest_read = 7;
  source.errors = {0, EINTR, EINTR, 0, EAGAIN};
  EXPECT_EQ(Read(source, 5, 995), Numbers(1000).substr(5, 990));
}

TEST(ReadRangeTest, AFileThatEndsIsDataLoss) {
  const FakeFileSource source(Numbers(1000));
  std::string bytes(100, '?');
  EXPECT_THAT(ReadRange(source, 950, 1050, bytes.data()),
              StatusIs(absl::StatusCode::kDataLoss,
                       AllOf(HasSubstr("fake: ends at byte 1000"),
                             HasSubstr("up to 1050 are expected"))));
}

TEST(ReadRangeTest, AFailingDiskIsNamedWithFileAndBytes) {
  FakeFileSource source(Numbers(1000));
  source.longest_read = 100;
  source.errors = {0, 0, EIO};
  std::string bytes(1000, '?');
  EXPECT_THAT(ReadRange(source, 0, 1000, bytes.data()),
              StatusIs(absl::StatusCode::kDataLoss,
                       HasSubstr("fake: cannot read bytes 200 to 1000")));
}

// Of a file that was cut within a block, direct reads bring the part, and no
// more can be asked for.
TEST(ReadRangeTest, APartOfABlockIsTheLastOne) {
  FakeFileSource source(Numbers(5000));
  source.block = 4096;
  std::vector<char> bytes(12288);
  EXPECT_THAT(ReadRange(source, 0, 5000, bytes.data()), IsOk());
  EXPECT_THAT(
      ReadRange(source, 0, 9000, bytes.data()),
      StatusIs(absl::StatusCode::kDataLoss, HasSubstr("ends at byte 5000")));
}

}  // namespace
}  // namespace pretrained
