#include "checkpoint/loading/file_source.h"

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "checkpoint/checkpoint.h"
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

TEST(FileSourceTest, ReadsAnyRangeBuffered) {
  const std::string bytes = Numbers(10000);
  const CheckpointFile file = {WriteTestFile("buffered.bin", bytes), 10000};
  auto source = OpenFileSource(file, ReadMode::kBuffered);
  ASSERT_THAT(source, IsOk());
  EXPECT_EQ((*source)->alignment(), 1);
  EXPECT_EQ(Read(**source, 0, 10000), bytes);
  EXPECT_EQ(Read(**source, 4097, 9999), bytes.substr(4097, 9999 - 4097));
  EXPECT_EQ(Read(**source, 17, 17), "");
}

// Where the test runs on a file system that has direct reads.
TEST(FileSourceTest, ReadsWholeBlocksDirect) {
  const std::string bytes = Numbers(10000);
  const CheckpointFile file = {WriteTestFile("direct.bin", bytes), 10000};
  auto source = OpenFileSource(file, ReadMode::kDirect);
  if (absl::IsUnimplemented(source.status())) {
    EXPECT_THAT(source.status().message(), HasSubstr("read it buffered"));
    return;
  }
  ASSERT_THAT(source, IsOk());
  EXPECT_EQ((*source)->alignment(), kDirectAlignment);
  const std::unique_ptr<char, decltype(&std::free)> memory(
      static_cast<char*>(std::aligned_alloc(kDirectAlignment, 12288)),
      &std::free);
  // The last block is a part of one.
  ASSERT_THAT(ReadRange(**source, 4096, 10000, memory.get()), IsOk());
  EXPECT_EQ(std::string(memory.get(), 10000 - 4096), bytes.substr(4096));
}

TEST(FileSourceTest, AFileThatIsNotWhatItWasIsRefused) {
  const std::string path = WriteTestFile("changed.bin", Numbers(100));
  EXPECT_THAT(OpenFileSource({path, 101}, ReadMode::kBuffered),
              StatusIs(absl::StatusCode::kDataLoss,
                       AllOf(HasSubstr(path), HasSubstr("is 100 bytes long"),
                             HasSubstr("was 101"))));
  EXPECT_THAT(OpenFileSource({path + ".not", 1}, ReadMode::kBuffered),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("cannot open")));
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
              StatusIs(absl::StatusCode::kUnknown,
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
