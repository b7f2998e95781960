#include "checkpoint/torch/torch_zip_writer.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "checkpoint/safetensors_testutil.h"
#include "checkpoint/tensor_to_write.h"
#include "checkpoint/torch/torch_pickle_writer.h"
#include "checkpoint/torch/zip_directory.h"
#include "dtypes/dtype.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using checkpoint_internal::MakeTorchPickle;
using checkpoint_internal::TorchContainer;
using checkpoint_internal::ZipDirectory;
using checkpoint_internal::ZipRecord;
using checkpoint_testing::MakeTestFolder;
using checkpoint_testing::ReadTestFile;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::SizeIs;

std::string Folder() {
  return MakeTestFolder(absl::StrCat(
      "torch zip writer ",
      ::testing::UnitTest::GetInstance()->current_test_info()->name()));
}

// Names and contents of the archive at `path`, all of whose data is aligned.
std::vector<std::pair<std::string, std::string>> RecordsOf(
    const std::string& path) {
  const std::string file = ReadTestFile(path);
  const absl::StatusOr<ZipDirectory> zip = ZipDirectory::Read(
      [&](int64_t offset, absl::Span<char> destination) {
        std::copy_n(file.data() + offset, destination.size(),
                    destination.data());
        return absl::OkStatus();
      },
      static_cast<int64_t>(file.size()), path);
  EXPECT_THAT(zip, IsOk());
  std::vector<std::pair<std::string, std::string>> records;
  if (!zip.ok()) return records;
  for (const ZipRecord& record : zip->records()) {
    EXPECT_EQ(record.begin % 64, 0) << record.name;
    EXPECT_FALSE(record.deflated);
    records.emplace_back(record.name, file.substr(record.begin, record.size));
  }
  return records;
}

// The records of torch 2.1.0's torch.save() in their order.
TEST(TorchZipWriterTest, WritesTheRecordsOfTorchSave) {
  const std::string path = Folder() + "/a.bin";
  const std::vector<TensorToWrite> tensors = {
      {"w", Dtype::kInt16, {2}, "abcd"},
      {.name = "tied", .dtype = Dtype::kInt16, .shape = {2}, .alias_of = 0},
      {"empty", Dtype::kFloat32, {0}, nullptr},
      {"f", Dtype::kFloat8E5M2, {3}, "efg"}};
  ASSERT_THAT(WriteTorchZip(path, tensors), IsOk());
  const auto pickle = MakeTorchPickle(tensors, TorchContainer::kZip);
  ASSERT_THAT(pickle, IsOk());
  const auto records = RecordsOf(path);
  EXPECT_THAT(
      records,
      ElementsAre(Pair("archive/data.pkl", pickle->bytes),
                  Pair("archive/byteorder", "little"),
                  Pair("archive/data/0", "abcd"), Pair("archive/data/1", ""),
                  Pair("archive/data/2", "efg"), Pair("archive/version", "3\n"),
                  Pair("archive/.data/serialization_id", SizeIs(40))));
  for (const char digit : records.back().second) {
    EXPECT_TRUE(std::isdigit(static_cast<unsigned char>(digit)));
  }
}

TEST(TorchZipWriterTest, EqualTensorsMakeEqualFilesAndOthersAnotherId) {
  const std::string folder = Folder();
  const auto write = [&](const char* name, const char* bytes) {
    EXPECT_THAT(
        WriteTorchZip(folder + name, {{"a", Dtype::kUint8, {2}, bytes}}),
        IsOk());
    return folder + name;
  };
  const std::string first = write("/first.bin", "ab");
  EXPECT_EQ(ReadTestFile(first), ReadTestFile(write("/second.bin", "ab")));
  const auto other = RecordsOf(write("/other.bin", "ac"));
  ASSERT_FALSE(other.empty());
  EXPECT_NE(RecordsOf(first).back().second, other.back().second);
}

TEST(TorchZipWriterTest, StreamsWhatASourceProduces) {
  const std::string path = Folder() + "/a.bin";
  const TensorToWrite tensor = {.name = "t",
                                .dtype = Dtype::kUint8,
                                .shape = {5},
                                .produce = [](TensorSink sink) {
                                  const absl::Status status = sink("ab");
                                  return status.ok() ? sink("cde") : status;
                                }};
  ASSERT_THAT(WriteTorchZip(path, {tensor}), IsOk());
  EXPECT_THAT(RecordsOf(path)[2], Pair("archive/data/0", "abcde"));
}

TEST(TorchZipWriterTest, LeavesTheOldFileWhenItFails) {
  const std::string path = Folder() + "/a.bin";
  ASSERT_THAT(WriteTorchZip(path, {{"a", Dtype::kUint8, {2}, "ab"}}), IsOk());
  const std::string old = ReadTestFile(path);
  const TensorToWrite torn = {
      .name = "s",
      .dtype = Dtype::kUint8,
      .shape = {9},
      .produce = [](TensorSink) { return absl::DataLossError("b.bin: torn"); }};
  EXPECT_THAT(WriteTorchZip(path, {torn}),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("b.bin: torn")));
  TensorToWrite short_one = torn;
  short_one.produce = [](TensorSink sink) { return sink("eightbyt"); };
  EXPECT_THAT(
      WriteTorchZip(path, {short_one}),
      StatusIs(absl::StatusCode::kInternal,
               AllOf(HasSubstr("a.bin: tensor 's'"), HasSubstr("8 bytes"))));
  EXPECT_THAT(WriteTorchZip(path, {{"n", Dtype::kUint8, {-1}, "a"}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("a.bin: tensor 'n'")));
  EXPECT_EQ(ReadTestFile(path), old);
  EXPECT_THAT(WriteTorchZip(path + "/absent/b.bin", {}),
              ::testing::Not(IsOk()));
}

}  // namespace
}  // namespace pretrained
