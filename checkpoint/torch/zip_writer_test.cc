#include "checkpoint/torch/zip_writer.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "checkpoint/file_writer.h"
#include "checkpoint/safetensors_testutil.h"
#include "checkpoint/torch/zip_directory.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using checkpoint_testing::MakeTestFolder;
using checkpoint_testing::ReadTestFile;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int64_t kGiB = int64_t{1} << 30;

// A file of any size of which only some bytes are not zero.
class SparseFile {
 public:
  void Write(int64_t offset, std::string bytes) {
    size_ = std::max(size_, offset + static_cast<int64_t>(bytes.size()));
    parts_[offset] = std::move(bytes);
  }
  const std::string& last_part() const { return parts_.rbegin()->second; }

  absl::StatusOr<ZipDirectory> ReadDirectory() const {
    return ZipDirectory::Read(
        [this](int64_t offset, absl::Span<char> destination) {
          std::fill(destination.begin(), destination.end(), '\0');
          const int64_t end = offset + static_cast<int64_t>(destination.size());
          for (const auto& [begin, bytes] : parts_) {
            const int64_t from = std::max(begin, offset);
            const int64_t to =
                std::min(begin + static_cast<int64_t>(bytes.size()), end);
            if (from >= to) continue;
            std::copy_n(bytes.data() + (from - begin), to - from,
                        destination.data() + (from - offset));
          }
          return absl::OkStatus();
        },
        size_, "sparse.zip");
  }

 private:
  std::map<int64_t, std::string> parts_;
  int64_t size_ = 0;
};

// An archive of records of these sizes, as ZipWriter would lay it out, but all
// zeros.
SparseFile Archive(absl::Span<const int64_t> sizes,
                   std::vector<ZipEntry>& entries) {
  SparseFile file;
  int64_t end = 0;
  for (size_t i = 0; i < sizes.size(); ++i) {
    entries.push_back({.name = absl::StrCat("archive/data/", i),
                       .nbytes = sizes[i],
                       .offset = end,
                       .crc32 = static_cast<uint32_t>(i * 17)});
    const std::string header = ZipLocalHeader(entries.back());
    EXPECT_EQ((end + header.size()) % kZipAlignment, 0u);
    file.Write(end, header);
    end += static_cast<int64_t>(header.size()) + sizes[i];
  }
  file.Write(end, ZipDirectoryBytes(entries, end));
  return file;
}

void ExpectReadBack(const SparseFile& file,
                    absl::Span<const ZipEntry> entries) {
  const absl::StatusOr<ZipDirectory> zip = file.ReadDirectory();
  ASSERT_THAT(zip, IsOk());
  ASSERT_EQ(zip->records().size(), entries.size());
  for (size_t i = 0; i < entries.size(); ++i) {
    const ZipRecord& record = zip->records()[i];
    ASSERT_EQ(record.name, entries[i].name);
    ASSERT_EQ(record.size, entries[i].nbytes);
    ASSERT_EQ(record.end - record.begin, entries[i].nbytes);
    ASSERT_EQ(record.begin % kZipAlignment, 0);
    ASSERT_EQ(record.crc32, entries[i].crc32);
    ASSERT_FALSE(record.deflated);
  }
}

TEST(ZipWriterTest, WritesRecordsThatAreReadBack) {
  const std::string path = MakeTestFolder("zip writer") + "/a.zip";
  absl::StatusOr<FileWriter> out = FileWriter::Create(path);
  ASSERT_THAT(out, IsOk());
  ZipWriter zip(&*out);
  ASSERT_THAT(zip.Add("archive/version", "3\n"), IsOk());
  ASSERT_THAT(zip.Add("archive/empty", ""), IsOk());
  const std::string large(3'000'000, 'x');
  ASSERT_THAT(zip.Begin("archive/data/0", 3'000'001), IsOk());
  ASSERT_THAT(zip.Append("y"), IsOk());
  ASSERT_THAT(zip.Append(large), IsOk());
  ASSERT_THAT(zip.End(), IsOk());
  ASSERT_THAT(zip.Finish(), IsOk());
  ASSERT_THAT(out->Commit(), IsOk());

  SparseFile file;
  const std::string bytes = ReadTestFile(path);
  file.Write(0, bytes);
  ExpectReadBack(file, zip.entries());
  // CRC-32 of these bytes by Python's zlib.crc32().
  EXPECT_EQ(zip.entries()[0].crc32, 0x55679ED1u);
  EXPECT_EQ(zip.entries()[1].crc32, 0u);
  EXPECT_EQ(zip.entries()[2].crc32, 0x12D159EBu);
  const absl::StatusOr<ZipDirectory> directory = file.ReadDirectory();
  ASSERT_THAT(directory, IsOk());
  const ZipRecord* data = directory->Find("archive/data/0");
  ASSERT_NE(data, nullptr);
  EXPECT_TRUE(bytes.substr(data->begin, data->size) == "y" + large);
}

TEST(ZipWriterTest, TheSameRecordsMakeTheSameBytes) {
  const std::string folder = MakeTestFolder("zip writer twice");
  for (const char* name : {"/a.zip", "/b.zip"}) {
    absl::StatusOr<FileWriter> out = FileWriter::Create(folder + name);
    ASSERT_THAT(out, IsOk());
    ZipWriter zip(&*out);
    ASSERT_THAT(zip.Add("a", "some bytes"), IsOk());
    ASSERT_THAT(zip.Finish(), IsOk());
    ASSERT_THAT(out->Commit(), IsOk());
  }
  EXPECT_EQ(ReadTestFile(folder + "/a.zip"), ReadTestFile(folder + "/b.zip"));
}

TEST(ZipWriterTest, RefusesRecordsOfTheWrongLength) {
  absl::StatusOr<FileWriter> out =
      FileWriter::Create(MakeTestFolder("zip writer lengths") + "/a.zip");
  ASSERT_THAT(out, IsOk());
  ZipWriter zip(&*out);
  ASSERT_THAT(zip.Begin("archive/data/7", 3), IsOk());
  EXPECT_THAT(zip.Append("abcd"), StatusIs(absl::StatusCode::kInternal,
                                           HasSubstr("'archive/data/7'")));
  EXPECT_THAT(zip.Append("a"), IsOk());
  EXPECT_THAT(zip.End(), StatusIs(absl::StatusCode::kInternal,
                                  HasSubstr("2 bytes fewer than the 3")));
}

// Sizes and offsets on either side of what 32 bits hold.
TEST(ZipWriterTest, WritesZip64WhereItMustAndOnlyThere) {
  const struct {
    std::vector<int64_t> sizes;
    bool zip64_header;  // Of the first record.
    bool zip64_end;
  } kCases[] = {
      {{100}, false, false},
      {{4 * kGiB - 2, 5}, false, true},
      {{4 * kGiB - 1, 5}, true, true},
      {{4 * kGiB, 5}, true, true},
      {{2 * kGiB, 2 * kGiB - 200, 5}, false, true},
      {{2 * kGiB, 1 * kGiB, 0}, false, false},
      {{5, 5 * kGiB, 7, 6 * kGiB, 0}, false, true},
      {{3'000 * kGiB}, true, true},
  };
  for (const auto& test : kCases) {
    SCOPED_TRACE(absl::StrCat(test.sizes[0], ", ", test.sizes.size()));
    std::vector<ZipEntry> entries;
    const SparseFile file = Archive(test.sizes, entries);
    ExpectReadBack(file, entries);
    const std::string header = ZipLocalHeader(entries[0]);
    EXPECT_EQ(absl::StartsWith(header, "PK\x03\x04\x2d"), test.zip64_header);
    if (test.zip64_end) {
      EXPECT_THAT(file.last_part(), HasSubstr("PK\x06\x06"));
    } else {
      EXPECT_THAT(file.last_part(), Not(HasSubstr("PK\x06\x06")));
    }
  }
}

TEST(ZipWriterTest, WritesZip64ForMoreRecordsThan16BitsCount) {
  for (const size_t count : {65'534, 65'535, 65'536, 70'000}) {
    SCOPED_TRACE(count);
    std::vector<ZipEntry> entries;
    std::string bytes;
    for (size_t i = 0; i < count; ++i) {
      entries.push_back({.name = absl::StrCat("archive/data/", i),
                         .offset = static_cast<int64_t>(bytes.size())});
      bytes += ZipLocalHeader(entries.back());
    }
    const std::string directory =
        ZipDirectoryBytes(entries, static_cast<int64_t>(bytes.size()));
    EXPECT_EQ(absl::StrContains(directory, "PK\x06\x06"), count >= 65'535);
    SparseFile file;
    file.Write(0, bytes + directory);
    ExpectReadBack(file, entries);
  }
}

}  // namespace
}  // namespace checkpoint_internal
}  // namespace pretrained
