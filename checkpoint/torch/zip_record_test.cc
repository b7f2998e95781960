#include "checkpoint/torch/zip_record.h"

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "checkpoint/torch/read_testutil.h"
#include "checkpoint/torch/zip_directory.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using checkpoint_testing::MemoryFile;
using checkpoint_testing::TestRecord;
using checkpoint_testing::ZipFile;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::string LongText() {
  std::string text;
  for (uint32_t i = 0; i < 3'000'000; ++i) {
    text.push_back(static_cast<char>(i * i >> 7));
  }
  return text;
}

// An archive with one record, and that record.
struct OneRecord {
  std::string file;
  ZipRecord record;
};

OneRecord Make(const std::string& content, bool deflate,
               uint32_t crc_change = 0, int64_t size_change = 0) {
  TestRecord record;
  record.name = "a/1";
  record.content = content;
  record.deflate = deflate;
  record.crc_change = crc_change;
  record.size_change = size_change;
  OneRecord one;
  one.file = ZipFile({record});
  const absl::StatusOr<ZipDirectory> zip = ZipDirectory::Read(
      MemoryFile{one.file}, static_cast<int64_t>(one.file.size()), "m.bin");
  EXPECT_THAT(zip, IsOk());
  one.record = zip->records()[0];
  one.record.name = "a/1";  // Outlives the directory.
  return one;
}

TEST(ZipRecordTest, ReadsAndChecksWhatWasWritten) {
  for (const std::string& content :
       {std::string(), std::string("x"), LongText()}) {
    for (const bool deflate : {false, true}) {
      const OneRecord one = Make(content, deflate);
      std::string got(content.size(), '\0');
      EXPECT_THAT(ReadZipRecord(MemoryFile{one.file}, one.record, "m.bin",
                                absl::MakeSpan(got)),
                  IsOk());
      EXPECT_TRUE(got == content);
      EXPECT_THAT(CheckZipRecord(MemoryFile{one.file}, one.record, "m.bin"),
                  IsOk());
    }
  }
}

TEST(ZipRecordTest, ReadsAWrongCrcAndRefusesItWhenChecking) {
  for (const bool deflate : {false, true}) {
    const OneRecord one = Make("content", deflate, /*crc_change=*/1);
    std::string got(7, '\0');
    EXPECT_THAT(ReadZipRecord(MemoryFile{one.file}, one.record, "m.bin",
                              absl::MakeSpan(got)),
                IsOk());
    EXPECT_EQ(got, "content");
    EXPECT_THAT(
        CheckZipRecord(MemoryFile{one.file}, one.record, "m.bin"),
        StatusIs(absl::StatusCode::kDataLoss,
                 AllOf(HasSubstr("m.bin: record 'a/1'"), HasSubstr("CRC-32"))));
  }
}

TEST(ZipRecordTest, RefusesDeflatedDataOfAnotherSize) {
  for (const int64_t change : {-1, 1}) {
    const OneRecord one = Make(std::string(500, 'x'), true, 0, change);
    std::string got(one.record.size, '\0');
    EXPECT_THAT(ReadZipRecord(MemoryFile{one.file}, one.record, "m.bin",
                              absl::MakeSpan(got)),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("inflate")));
  }
}

TEST(ZipRecordTest, RefusesDamagedData) {
  OneRecord one = Make(std::string(500, 'x'), true);
  one.file[one.record.begin] = '\xFF';
  std::string got(one.record.size, '\0');
  EXPECT_THAT(ReadZipRecord(MemoryFile{one.file}, one.record, "m.bin",
                            absl::MakeSpan(got)),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("deflated")));
}

TEST(ZipRecordTest, RefusesADestinationOfAnotherSize) {
  const OneRecord one = Make("content", false);
  std::string got(6, '\0');
  EXPECT_THAT(ReadZipRecord(MemoryFile{one.file}, one.record, "m.bin",
                            absl::MakeSpan(got)),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace checkpoint_internal
}  // namespace pretrained
