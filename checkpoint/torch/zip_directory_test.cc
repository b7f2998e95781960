#include "checkpoint/torch/zip_directory.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/torch/read_testutil.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using checkpoint_testing::MemoryFile;
using checkpoint_testing::TestArchive;
using checkpoint_testing::TestRecord;
using checkpoint_testing::ZipFile;
using ::testing::AllOf;
using ::testing::HasSubstr;

absl::StatusOr<ZipDirectory> ReadZip(absl::string_view file) {
  return ZipDirectory::Read(MemoryFile{file}, static_cast<int64_t>(file.size()),
                            "m.bin");
}

TestRecord Record(std::string name, std::string content = "content") {
  TestRecord record;
  record.name = std::move(name);
  record.content = std::move(content);
  return record;
}

absl::string_view Data(absl::string_view file, const ZipRecord& record) {
  return file.substr(record.begin, record.end - record.begin);
}

TEST(ZipDirectoryTest, FindsEveryRecord) {
  TestRecord deflated = Record("a/2", std::string(1000, 'x'));
  deflated.deflate = true;
  TestRecord padded = Record("a/3", "padded");
  padded.pad = 37;
  for (const bool zip64 : {false, true}) {
    SCOPED_TRACE(zip64);
    TestArchive archive;
    archive.zip64 = zip64;
    TestRecord wide = Record("a/4", "wide");
    wide.zip64 = zip64;
    const std::string file = ZipFile(
        {Record("a/1", "one"), deflated, padded, wide, Record("a/", "")},
        archive);
    const absl::StatusOr<ZipDirectory> zip = ReadZip(file);
    ASSERT_THAT(zip, IsOk());
    ASSERT_EQ(zip->records().size(), 5);
    EXPECT_EQ(Data(file, zip->records()[0]), "one");
    EXPECT_EQ(zip->records()[0].size, 3);
    EXPECT_EQ(zip->records()[1].size, 1000);
    EXPECT_TRUE(zip->records()[1].deflated);
    EXPECT_LT(Data(file, zip->records()[1]).size(), 100);
    EXPECT_EQ(Data(file, zip->records()[2]), "padded");
    EXPECT_EQ(Data(file, zip->records()[3]), "wide");
    EXPECT_EQ(zip->Find("a/3"), &zip->records()[2]);
    EXPECT_EQ(zip->Find("a/"), &zip->records()[4]);
    EXPECT_EQ(zip->Find("A/3"), nullptr);
    EXPECT_EQ(zip->Find("3"), nullptr);
  }
}

TEST(ZipDirectoryTest, NamesSurviveAMove) {
  absl::StatusOr<ZipDirectory> zip = ReadZip(ZipFile({Record("a/1")}));
  ASSERT_THAT(zip, IsOk());
  const ZipDirectory moved = *std::move(zip);
  ASSERT_NE(moved.Find("a/1"), nullptr);
  EXPECT_EQ(moved.records()[0].name, "a/1");
}

TEST(ZipDirectoryTest, ReadsAnEmptyArchiveAndAComment) {
  TestArchive archive;
  archive.comment = "written by hand";
  const absl::StatusOr<ZipDirectory> zip = ReadZip(ZipFile({}, archive));
  ASSERT_THAT(zip, IsOk());
  EXPECT_TRUE(zip->records().empty());
  archive.comment = std::string(0xFFFF, 'c');
  EXPECT_THAT(ReadZip(ZipFile({Record("a/1")}, archive)), IsOk());
}

struct BadRecord {
  const char* what;
  void (*change)(TestRecord&);
  absl::StatusCode code;
  const char* message;
};

TEST(ZipDirectoryTest, RefusesRecordsThatContradictThemselves) {
  constexpr absl::StatusCode kDataLoss = absl::StatusCode::kDataLoss;
  constexpr absl::StatusCode kUnimplemented = absl::StatusCode::kUnimplemented;
  const BadRecord kBadRecords[] = {
      {"another name in its header",
       [](TestRecord& r) { r.local_name = "b/2"; }, kDataLoss, "another name"},
      {"a longer name in its header",
       [](TestRecord& r) { r.local_name = "a/22"; }, kDataLoss, "another name"},
      {"the name of another record", [](TestRecord& r) { r.name = "a/1"; },
       kDataLoss, "two of this name"},
      {"an empty name", [](TestRecord& r) { r.name = ""; }, kDataLoss,
       "is empty"},
      {"a NUL in its name",
       [](TestRecord& r) { r.name = std::string("a/\0b", 4); }, kDataLoss,
       "NUL"},
      {"encryption", [](TestRecord& r) { r.flags = 1; }, kUnimplemented,
       "encrypted"},
      {"strong encryption", [](TestRecord& r) { r.flags = 1 << 6; },
       kUnimplemented, "encrypted"},
      {"another compression", [](TestRecord& r) { r.method_change = 12; },
       kUnimplemented, "method 12"},
      {"a stored record that inflates",
       [](TestRecord& r) { r.size_change = 1; }, kDataLoss,
       "8 bytes, but 7 stored ones are 7"},
      {"a stored record that shrinks",
       [](TestRecord& r) { r.size_change = -1; }, kDataLoss, "6 bytes"},
      {"more than deflate can do",
       [](TestRecord& r) {
         r.deflate = true;
         r.size_change = 1032 * 30;
       },
       kDataLoss, "inflate to at most"},
      {"data beyond the file",
       [](TestRecord& r) {
         r.size_change = 100'000;
         r.stored_change = 100'000;
       },
       kDataLoss, "within the file"},
      {"data that reach into the directory",
       [](TestRecord& r) {
         r.size_change = 100;
         r.stored_change = 100;
       },
       kDataLoss, "into the directory"},
      {"a place beyond the file",
       [](TestRecord& r) { r.offset_change = 100'000; }, kDataLoss,
       "within the file"},
      {"a place in the directory", [](TestRecord& r) { r.offset_change = 50; },
       kDataLoss, "the directory is at byte"},
      {"a place that is no record", [](TestRecord& r) { r.offset_change = -1; },
       kDataLoss, "another record reaches"},
      {"the place of another record",
       [](TestRecord& r) { r.offset_change = -(30 + 3 + 7); }, kDataLoss, ""},
      {"2^63 bytes",
       [](TestRecord& r) {
         r.zip64 = true;
         r.size_change = INT64_MAX - 7;
         r.stored_change = INT64_MAX - 7;
       },
       kDataLoss, "within the file"},
      {"2^64-1 as its place",
       [](TestRecord& r) {
         r.zip64 = true;
         r.offset_change = -(30 + 3 + 7 + 1);
       },
       kDataLoss, "within the file"},
  };
  for (const BadRecord& bad : kBadRecords) {
    SCOPED_TRACE(bad.what);
    TestRecord record = Record("a/2");
    bad.change(record);
    EXPECT_THAT(ReadZip(ZipFile({Record("a/1"), record})),
                StatusIs(bad.code,
                         AllOf(HasSubstr("m.bin: "), HasSubstr(bad.message))));
  }
}

// Two records of one stored stream: what a zip bomb is made of.
TEST(ZipDirectoryTest, RefusesRecordsThatOverlap) {
  // The second record lies in the first one's content.
  const std::string inner =
      ZipFile({Record("a/2", "inner")}).substr(0, 30 + 3 + 5);
  TestRecord second = Record("a/2", "inner");
  const std::string outer = ZipFile({Record("a/1", inner), second});
  ASSERT_THAT(ReadZip(outer), IsOk());
  second.offset_change = -static_cast<int64_t>(inner.size());
  EXPECT_THAT(ReadZip(ZipFile({Record("a/1", inner), second})),
              StatusIs(absl::StatusCode::kDataLoss,
                       HasSubstr("another record reaches to byte")));
}

TEST(ZipDirectoryTest, RefusesAnEndThatContradictsTheFile) {
  struct BadEnd {
    int64_t count, size, begin;
  };
  for (const bool zip64 : {false, true}) {
    for (const BadEnd& bad :
         {BadEnd{1, 0, 0}, BadEnd{-1, 0, 0}, BadEnd{0, 1, 0}, BadEnd{0, -1, 0},
          BadEnd{0, 0, 1}, BadEnd{0, 0, -1}, BadEnd{0, -1, 1}, BadEnd{0, 1, -1},
          BadEnd{1000, 0, 0}}) {
      SCOPED_TRACE(
          absl::StrCat(zip64, " ", bad.count, " ", bad.size, " ", bad.begin));
      TestArchive archive;
      archive.zip64 = zip64;
      archive.count_change = bad.count;
      archive.size_change = bad.size;
      archive.begin_change = bad.begin;
      EXPECT_THAT(ReadZip(ZipFile({Record("a/1"), Record("a/2")}, archive)),
                  StatusIs(absl::StatusCode::kDataLoss, HasSubstr("m.bin: ")));
    }
  }
}

// A number of records, or of bytes, is compared with the file before memory is
// taken for it.
TEST(ZipDirectoryTest, RefusesHugeCountsOfTheZip64End) {
  for (const int64_t change : {INT64_MAX, int64_t{1} << 40, int64_t{-2}}) {
    TestArchive archive;
    archive.zip64 = true;
    archive.count_change = change;
    EXPECT_THAT(ReadZip(ZipFile({Record("a/1")}, archive)),
                StatusIs(absl::StatusCode::kDataLoss));
    archive.count_change = 0;
    archive.size_change = change;
    EXPECT_THAT(ReadZip(ZipFile({Record("a/1")}, archive)),
                StatusIs(absl::StatusCode::kDataLoss));
    archive.size_change = 0;
    archive.begin_change = change;
    EXPECT_THAT(ReadZip(ZipFile({Record("a/1")}, archive)),
                StatusIs(absl::StatusCode::kDataLoss));
  }
}

TEST(ZipDirectoryTest, RefusesAnEndForOldReadersThatSaysSomethingElse) {
  TestArchive archive;
  archive.zip64 = true;
  std::string file = ZipFile({Record("a/1")}, archive);
  ASSERT_THAT(ReadZip(file), IsOk());
  for (const size_t field : {10, 12, 16}) {  // Count, bytes, begin.
    std::string changed = file;
    for (size_t i = 0; i < (field == 10 ? 2 : 4); ++i) {
      changed[file.size() - 22 + field + i] = '\0';
    }
    if (field == 10) changed[file.size() - 22 + 8] = '\0';
    if (field == 10) changed[file.size() - 22 + 9] = '\0';
    EXPECT_THAT(ReadZip(changed),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("zip64 form")))
        << field;
  }
}

TEST(ZipDirectoryTest, RefusesSeveralDisks) {
  const std::string file = ZipFile({Record("a/1")});
  for (const size_t field : {4, 6, 8}) {
    std::string changed = file;
    changed[file.size() - 22 + field] = 2;
    EXPECT_THAT(ReadZip(changed), StatusIs(absl::StatusCode::kUnimplemented,
                                           HasSubstr("several disks")));
  }
  std::string changed = file;
  changed[file.size() - 22 - 3 - 46 + 34] = 1;
  EXPECT_THAT(ReadZip(changed), StatusIs(absl::StatusCode::kUnimplemented,
                                         HasSubstr("several disks")));
}

TEST(ZipDirectoryTest, RefusesBytesBehindTheArchive) {
  EXPECT_THAT(ReadZip(ZipFile({Record("a/1")}) + "x"),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("comment")));
}

// A comment that looks like another end of another directory.
TEST(ZipDirectoryTest, RefusesAnEndWithinTheComment) {
  TestArchive archive;
  archive.comment = ZipFile({}) + " and more";
  EXPECT_THAT(ReadZip(ZipFile({Record("a/1")}, archive)),
              StatusIs(absl::StatusCode::kDataLoss));
}

TEST(ZipDirectoryTest, RefusesEveryPrefix) {
  for (const bool zip64 : {false, true}) {
    TestArchive archive;
    archive.zip64 = zip64;
    TestRecord deflated = Record("a/2", std::string(100, 'x'));
    deflated.deflate = true;
    const std::string file =
        ZipFile({Record("a/1"), deflated, Record("a/3")}, archive);
    ASSERT_THAT(ReadZip(file), IsOk());
    for (size_t n = 0; n < file.size(); ++n) {
      EXPECT_THAT(ReadZip(absl::string_view(file).substr(0, n)),
                  StatusIs(absl::StatusCode::kDataLoss, HasSubstr("m.bin: ")))
          << "cut at byte " << n;
    }
  }
}

// That `zip` is as safe to use as ZipDirectory promises.
void ExpectSafe(const ZipDirectory& zip, int64_t file_size) {
  std::set<absl::string_view> names;
  std::vector<std::pair<int64_t, int64_t>> ranges;
  for (const ZipRecord& record : zip.records()) {
    EXPECT_TRUE(names.insert(record.name).second);
    EXPECT_EQ(zip.Find(record.name), &record);
    EXPECT_GE(record.begin, 30);
    EXPECT_LE(record.begin, record.end);
    EXPECT_LE(record.end, file_size);
    if (!record.deflated) {
      EXPECT_EQ(record.size, record.end - record.begin);
    }
    EXPECT_LE(record.size, 1032 * (record.end - record.begin));
    ranges.push_back({record.begin, record.end});
  }
  std::sort(ranges.begin(), ranges.end());
  for (size_t i = 1; i < ranges.size(); ++i) {
    EXPECT_LE(ranges[i - 1].second, ranges[i].first);
  }
}

TEST(ZipDirectoryTest, SurvivesEverySingleByteChange) {
  TestArchive archive;
  archive.zip64 = true;
  TestRecord wide = Record("a/2", std::string(50, 'x'));
  wide.zip64 = true;
  wide.deflate = true;
  const std::string good = ZipFile({Record("a/1", "one"), wide}, archive);
  int64_t refused = 0;
  for (size_t i = 0; i < good.size(); ++i) {
    std::string file = good;
    for (int value = 0; value < 256; ++value) {
      file[i] = static_cast<char>(value);
      const absl::StatusOr<ZipDirectory> zip = ReadZip(file);
      if (zip.ok()) {
        ExpectSafe(*zip, static_cast<int64_t>(file.size()));
      } else {
        ++refused;
        EXPECT_TRUE(absl::IsDataLoss(zip.status()) ||
                    absl::IsUnimplemented(zip.status()))
            << zip.status();
      }
    }
  }
  EXPECT_GT(refused, 10'000);
}

TEST(ZipDirectoryTest, PassesTheErrorsOfReading) {
  const std::string file = ZipFile({Record("a/1")});
  for (int allowed = 0; allowed < 4; ++allowed) {
    int reads = 0;
    const absl::StatusOr<ZipDirectory> zip = ZipDirectory::Read(
        [&](int64_t offset, absl::Span<char> destination) {
          if (reads++ == allowed) return absl::UnavailableError("gone");
          return MemoryFile{file}(offset, destination);
        },
        static_cast<int64_t>(file.size()), "m.bin");
    EXPECT_THAT(zip, StatusIs(absl::StatusCode::kUnavailable, "gone"))
        << allowed;
  }
}

// Small records are not read one by one.
TEST(ZipDirectoryTest, ReadsHeadersNearEachOtherTogether) {
  std::vector<TestRecord> records;
  for (int i = 0; i < 1000; ++i) {
    records.push_back(Record(absl::StrCat("a/", i)));
  }
  const std::string file = ZipFile(records);
  int reads = 0;
  const absl::StatusOr<ZipDirectory> zip = ZipDirectory::Read(
      [&](int64_t offset, absl::Span<char> destination) {
        ++reads;
        return MemoryFile{file}(offset, destination);
      },
      static_cast<int64_t>(file.size()), "m.bin");
  ASSERT_THAT(zip, IsOk());
  EXPECT_EQ(zip->records().size(), 1000);
  EXPECT_LT(reads, 10);
}

}  // namespace
}  // namespace checkpoint_internal
}  // namespace pretrained
