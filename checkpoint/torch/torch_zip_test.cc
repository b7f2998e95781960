// The zip archives of torch.save; torch_golden_test has real ones.

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "checkpoint/torch/read_testutil.h"
#include "checkpoint/torch/torch_file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using checkpoint_testing::MemoryFile;
using checkpoint_testing::StateDictPickle;
using checkpoint_testing::TestRecord;
using checkpoint_testing::TestTorchZip;
using checkpoint_testing::TestView;
using checkpoint_testing::TorchZipFile;
using checkpoint_testing::ZipFile;
using ::testing::AllOf;
using ::testing::HasSubstr;

absl::StatusOr<TorchFile> ReadFile(absl::string_view file,
                                   bool check_crc = false) {
  return ReadTorchFile(MemoryFile{file}, static_cast<int64_t>(file.size()),
                       "m.bin", check_crc);
}

std::vector<TestView> OneView() {
  return {{"w", "FloatStorage", "0", 4, 0, {2, 2}, {2, 1}}};
}

const char kData[] = "0123456789abcdef";

// A record of the archive that OneView() is in.
std::vector<TestRecord> Records(absl::string_view folder = "archive/") {
  std::vector<TestRecord> records;
  for (const auto& [name, content] :
       std::vector<std::pair<const char*, std::string>>{
           {"data.pkl", StateDictPickle(OneView())},
           {"byteorder", "little"},
           {"data/0", kData},
           {"version", "3\n"},
           {".data/serialization_id", "1234"}}) {
    TestRecord record;
    record.name = absl::StrCat(folder, name);
    record.content = content;
    records.push_back(record);
  }
  return records;
}

TEST(TorchZipTest, ReadsAnArchiveOfAnyFolderName) {
  for (const char* folder : {"archive/", "pytorch_model/", "\xFF\xFE/", "/",
                             "a b/", "../", "data/"}) {
    SCOPED_TRACE(folder);
    const std::string content = ZipFile(Records(folder));
    const absl::StatusOr<TorchFile> file = ReadFile(content);
    ASSERT_THAT(file, IsOk());
    EXPECT_FALSE(file->legacy);
    EXPECT_FALSE(file->big_endian);
    ASSERT_EQ(file->objects.tensors.size(), 1);
    EXPECT_EQ(file->objects.tensors[0].name, "w");
    ASSERT_EQ(file->storages.size(), 1);
    EXPECT_EQ(content.substr(file->storages[0].begin, 16), kData);
    EXPECT_EQ(file->storages[0].size, 16);
  }
}

TEST(TorchZipTest, ReadsZip64AndDeflatedArchives) {
  TestTorchZip options;
  options.archive.zip64 = true;
  for (const bool deflate : {false, true}) {
    options.deflate = deflate;
    const absl::StatusOr<TorchFile> file =
        ReadFile(TorchZipFile(OneView(), {{"0", kData}}, options), true);
    ASSERT_THAT(file, IsOk());
    EXPECT_EQ(file->storages[0].deflated, deflate);
    EXPECT_EQ(file->storages[0].size, 16);
  }
}

// What torch.save adds with time, and what others add to an archive.
TEST(TorchZipTest, IgnoresOtherRecords) {
  std::vector<TestRecord> records = Records();
  for (const char* name :
       {"archive/.format_version", "archive/.storage_alignment", "archive/",
        "archive/data/", "archive/data/1", "archive/notes/a.txt"}) {
    TestRecord record;
    record.name = name;
    records.push_back(record);
  }
  EXPECT_THAT(ReadFile(ZipFile(records)), IsOk());
}

TEST(TorchZipTest, TakesByteOrderAndVersionFromTheirRecords) {
  struct Case {
    const char* byteorder;
    const char* version;
    absl::StatusCode code;
    const char* message;
  };
  for (const Case& c : std::vector<Case>{
           {"big", "3", absl::StatusCode::kOk, ""},
           {"", "10\n", absl::StatusCode::kOk, ""},
           {"little", "1\r\n", absl::StatusCode::kOk, ""},
           {"middle", "3", absl::StatusCode::kDataLoss, "'middle'"},
           {"little\n", "3", absl::StatusCode::kDataLoss, "byteorder"},
           {"little", "", absl::StatusCode::kDataLoss, "archive/version"},
           {"little", "three", absl::StatusCode::kDataLoss, "'three'"},
           {"little", "0", absl::StatusCode::kDataLoss, "'0'"},
           {"little", "-1", absl::StatusCode::kDataLoss, "'-1'"},
           {"little", "11", absl::StatusCode::kUnimplemented, "version 11"},
           {"little", "18446744073709551617", absl::StatusCode::kDataLoss,
            "no version"}}) {
    SCOPED_TRACE(absl::StrCat(c.byteorder, " ", c.version));
    TestTorchZip options;
    options.byteorder = c.byteorder;
    options.version = c.version;
    const absl::StatusOr<TorchFile> file =
        ReadFile(TorchZipFile(OneView(), {{"0", kData}}, options));
    if (c.code == absl::StatusCode::kOk) {
      ASSERT_THAT(file, IsOk());
      EXPECT_EQ(file->big_endian, options.byteorder == "big");
    } else {
      EXPECT_THAT(file, StatusIs(c.code, AllOf(HasSubstr("m.bin: "),
                                               HasSubstr(c.message))));
    }
  }
}

// torch.package keeps the version elsewhere, and torch.load looks there first.
TEST(TorchZipTest, ReadsTheOtherVersionRecord) {
  std::vector<TestRecord> records = Records();
  records[3].name = "archive/.data/version";
  EXPECT_THAT(ReadFile(ZipFile(records)), IsOk());
}

struct BadArchive {
  const char* what;
  void (*change)(std::vector<TestRecord>&);
  absl::StatusCode code;
  const char* message;
};

TEST(TorchZipTest, RefusesArchivesThatAreNoStateDict) {
  constexpr absl::StatusCode kDataLoss = absl::StatusCode::kDataLoss;
  const BadArchive kBad[] = {
      {"no record at all", [](std::vector<TestRecord>& r) { r.clear(); },
       kDataLoss, "is empty"},
      {"no data.pkl",
       [](std::vector<TestRecord>& r) { r[0].name = "archive/data.pk"; },
       kDataLoss, "'archive/data.pkl'"},
      {"a record in no folder",
       [](std::vector<TestRecord>& r) { r[0].name = "data.pkl"; }, kDataLoss,
       "lies in no folder"},
      {"a record in another folder",
       [](std::vector<TestRecord>& r) { r[4].name = "archive2/version"; },
       kDataLoss, "'archive2/version': it lies outside"},
      {"TorchScript",
       [](std::vector<TestRecord>& r) { r[4].name = "archive/constants.pkl"; },
       absl::StatusCode::kUnimplemented, "torch.jit.save"},
      {"no storage",
       [](std::vector<TestRecord>& r) { r[2].name = "archive/data/00"; },
       kDataLoss, "'archive/data/0'"},
      {"a short storage",
       [](std::vector<TestRecord>& r) { r[2].content.pop_back(); }, kDataLoss,
       "15 bytes, but data.pkl says 16"},
      {"a pickle cut short",
       [](std::vector<TestRecord>& r) { r[0].content.pop_back(); }, kDataLoss,
       "data.pkl: "},
      {"a long version",
       [](std::vector<TestRecord>& r) { r[3].content.append(100, ' '); },
       absl::StatusCode::kResourceExhausted, "at most 64"},
      {"a pickle that inflates to more than is read",
       [](std::vector<TestRecord>& r) {
         r[0].content = std::string((64 << 20) + 1, '\0');
         r[0].deflate = true;
       },
       absl::StatusCode::kResourceExhausted, "at most 67108864"},
  };
  for (const BadArchive& bad : kBad) {
    SCOPED_TRACE(bad.what);
    std::vector<TestRecord> records = Records();
    bad.change(records);
    EXPECT_THAT(ReadFile(ZipFile(records)),
                StatusIs(bad.code,
                         AllOf(HasSubstr("m.bin: "), HasSubstr(bad.message))));
  }
}

TEST(TorchZipTest, ReadsALongStorageAndATrailAfterThePickle) {
  std::vector<TestRecord> records = Records();
  records[0].content += "more";
  records[2].content += "more";
  const absl::StatusOr<TorchFile> file = ReadFile(ZipFile(records));
  ASSERT_THAT(file, IsOk());
  EXPECT_EQ(file->storages[0].size, 20);
}

// The pickle, the small records and the storages; no record that is not used.
TEST(TorchZipTest, ChecksTheCrcOfWhatIsUsedWhenAsked) {
  for (size_t i = 0; i < Records().size(); ++i) {
    std::vector<TestRecord> records = Records();
    records[i].crc_change = 1;
    SCOPED_TRACE(records[i].name);
    EXPECT_THAT(ReadFile(ZipFile(records)), IsOk());
    const bool used = i < 4;
    if (used) {
      EXPECT_THAT(ReadFile(ZipFile(records), /*check_crc=*/true),
                  StatusIs(absl::StatusCode::kDataLoss, HasSubstr("CRC-32")));
    } else {
      EXPECT_THAT(ReadFile(ZipFile(records), /*check_crc=*/true), IsOk());
    }
  }
}

TEST(TorchZipTest, RefusesEveryPrefix) {
  const std::string content = ZipFile(Records());
  for (size_t n = 0; n < content.size(); ++n) {
    EXPECT_THAT(ReadFile(absl::string_view(content).substr(0, n)),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("m.bin: ")))
        << "cut at byte " << n;
  }
}

// What is no file of torch.save is told what it is.
TEST(TorchFileTest, SaysWhatOtherFilesAre) {
  std::string tar(600, '\0');
  tar.replace(257, 5, "ustar");
  struct Case {
    std::string head;
    absl::StatusCode code;
    const char* message;
  };
  for (const Case& c : std::vector<Case>{
           {"", absl::StatusCode::kDataLoss, "is empty"},
           {tar, absl::StatusCode::kUnimplemented, "tar archive"},
           {"version https://git-lfs.github.com/spec/v1",
            absl::StatusCode::kDataLoss, "git lfs pull"},
           {"<!DOCTYPE html><html>", absl::StatusCode::kDataLoss, "web page"},
           {"{\"error\": \"not found\"}", absl::StatusCode::kDataLoss, "JSON"},
           {"\x89HDF\r\n\x1a\n", absl::StatusCode::kDataLoss, "HDF5"},
           {"GGUF\x03", absl::StatusCode::kDataLoss, "GGUF"},
           {"Entry not found", absl::StatusCode::kDataLoss,
            "no file of torch.save"},
           {"PK\x05\x06", absl::StatusCode::kDataLoss, "central directory"},
           {"\x80", absl::StatusCode::kDataLoss, "cut short"}}) {
    EXPECT_THAT(ReadFile(c.head), StatusIs(c.code, AllOf(HasSubstr("m.bin: "),
                                                         HasSubstr(c.message))))
        << c.head;
  }
}

}  // namespace
}  // namespace checkpoint_internal
}  // namespace pretrained
