#include "checkpoint/torch/torch_checkpoint.h"

#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/safetensors_testutil.h"
#include "checkpoint/torch/read_testutil.h"
#include "dtypes/dtype.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using checkpoint_testing::ReadBytes;
using checkpoint_testing::TestTorchZip;
using checkpoint_testing::TestView;
using checkpoint_testing::TorchLegacyFile;
using checkpoint_testing::TorchZipFile;
using checkpoint_testing::ViewedBytes;
using checkpoint_testing::WriteTestFile;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// 24 bytes, 0 to 23: six floats, or twelve shorts.
std::string Bytes() {
  std::string bytes;
  for (int i = 0; i < 24; ++i) bytes.push_back(static_cast<char>(i));
  return bytes;
}

// Views of one storage of six ints: whole, transposed, one column, expanded.
std::vector<TestView> Views() {
  return {{"whole", "IntStorage", "0", 6, 0, {2, 3}, {3, 1}},
          {"transposed", "IntStorage", "0", 6, 0, {3, 2}, {1, 3}},
          {"column", "IntStorage", "0", 6, 1, {2}, {3}},
          {"expanded", "IntStorage", "0", 6, 5, {2, 2}, {0, 0}},
          {"empty", "IntStorage", "0", 6, 0, {0, 3}, {3, 1}},
          {"scalar", "IntStorage", "0", 6, 4, {}, {}}};
}

// The bytes of the ints `which` of Bytes(); reversed within each where `swap`.
std::string Ints(const std::vector<int>& which, bool swap = false) {
  std::string bytes;
  for (const int i : which) {
    std::string element = Bytes().substr(4 * i, 4);
    if (swap) element = std::string(element.rbegin(), element.rend());
    bytes += element;
  }
  return bytes;
}

void ExpectViews(const Checkpoint& checkpoint, bool swapped) {
  const struct {
    const char* name;
    std::vector<int> ints;
  } kWant[] = {{"whole", {0, 1, 2, 3, 4, 5}},
               {"transposed", {0, 3, 1, 4, 2, 5}},
               {"column", {1, 4}},
               {"expanded", {5, 5, 5, 5}},
               {"empty", {}},
               {"scalar", {4}}};
  for (const auto& want : kWant) {
    SCOPED_TRACE(want.name);
    const auto tensor = checkpoint.Find(want.name);
    ASSERT_THAT(tensor, IsOk());
    EXPECT_EQ(ReadBytes(checkpoint, **tensor), Ints(want.ints, swapped));
    EXPECT_EQ(ViewedBytes(checkpoint, **tensor), Ints(want.ints, swapped));
  }
  std::string rows(8, '\0');
  const auto transposed = checkpoint.Find("transposed");
  ASSERT_THAT(transposed, IsOk());
  ASSERT_THAT(
      checkpoint.ReadSlice(**transposed, {{1, 2}}, absl::MakeSpan(rows)),
      IsOk());
  EXPECT_EQ(rows, Ints({1, 4}, swapped));
  ASSERT_THAT(checkpoint.ReadSlice(**transposed, {{1, 3}, {1, 2}},
                                   absl::MakeSpan(rows)),
              IsOk());
  EXPECT_EQ(rows, Ints({4, 5}, swapped));
  EXPECT_THAT(checkpoint.ReadSlice(**transposed, {{2, 2}}, {}), IsOk());
}

TEST(TorchCheckpointTest, ReadsEveryKindOfViewOfEveryKindOfRecord) {
  for (const bool deflate : {false, true}) {
    for (const char* byteorder : {"little", "big", ""}) {
      for (const bool use_mmap : {false, true}) {
        SCOPED_TRACE(absl::StrCat(deflate, byteorder, use_mmap));
        TestTorchZip options;
        options.deflate = deflate;
        options.byteorder = byteorder;
        TorchCheckpointOptions open_options;
        open_options.use_mmap = use_mmap;
        const std::string path = WriteTestFile(
            "m.bin", TorchZipFile(Views(), {{"0", Bytes()}}, options));
        const auto checkpoint = TorchCheckpoint::Open({path}, open_options);
        ASSERT_THAT(checkpoint, IsOk());
        const bool big = options.byteorder == "big";
        ExpectViews(**checkpoint, big);
        EXPECT_EQ((*checkpoint)->tensors()[0].in_place, !deflate && !big);
        EXPECT_EQ((*checkpoint)->storages()[0].deflated, deflate);
        EXPECT_EQ((*checkpoint)->storages()[0].big_endian, big);
        EXPECT_EQ((*checkpoint)->storages()[0].key, "0");
        EXPECT_EQ((*checkpoint)->storages()[0].nbytes, 24);
        EXPECT_THAT((*checkpoint)->CheckFilesUnchanged(), IsOk());
      }
    }
  }
}

TEST(TorchCheckpointTest, ReadsEveryKindOfViewOfALegacyFile) {
  const std::string path =
      WriteTestFile("m.bin", TorchLegacyFile(Views(), {{"0", 6, Bytes()}}));
  const auto checkpoint = TorchCheckpoint::Open({path});
  ASSERT_THAT(checkpoint, IsOk());
  EXPECT_EQ((*checkpoint)->format(), "torch_legacy");
  ExpectViews(**checkpoint, /*swapped=*/false);
}

// Some hundred bytes must not ask for terabytes of memory.
TEST(TorchCheckpointTest, RefusesViewsThatRepeatTheirStorageWithoutEnd) {
  const int64_t count = kMaxRepeatedBytes / 4;
  for (const bool too_many : {false, true}) {
    const std::string path = WriteTestFile(
        "repeats.bin",
        TorchZipFile(
            {{"a", "IntStorage", "0", 6, 0, {count + 6 + too_many}, {0}}},
            {{"0", Bytes()}}));
    const auto checkpoint = TorchCheckpoint::Open({path});
    if (!too_many) {
      EXPECT_THAT(checkpoint, IsOk());
      continue;
    }
    EXPECT_THAT(checkpoint, StatusIs(absl::StatusCode::kResourceExhausted,
                                     AllOf(HasSubstr(path), HasSubstr("'a'"),
                                           HasSubstr("repeat the 24"))));
  }
}

// A complex number is two numbers, and each has its bytes reversed.
TEST(TorchCheckpointTest, SwapsComplexNumbersByComponent) {
  TestTorchZip options;
  options.byteorder = "big";
  const std::string path = WriteTestFile(
      "m.bin", TorchZipFile({{"a", "ComplexFloatStorage", "0", 3, 0, {3}, {1}},
                             {"b", "ByteStorage", "1", 24, 0, {24}, {1}}},
                            {{"0", Bytes()}, {"1", Bytes()}}, options));
  const auto checkpoint = TorchCheckpoint::Open({path});
  ASSERT_THAT(checkpoint, IsOk());
  EXPECT_EQ(ReadBytes(**checkpoint, (*checkpoint)->tensors()[0]),
            Ints({0, 1, 2, 3, 4, 5}, /*swap=*/true));
  // Single bytes have no order, and stay in place.
  EXPECT_TRUE((*checkpoint)->tensors()[1].in_place);
  EXPECT_EQ(ReadBytes(**checkpoint, (*checkpoint)->tensors()[1]), Bytes());
}

TEST(TorchCheckpointTest, TellsWhereTensorsAre) {
  const std::string path =
      WriteTestFile("m.bin", TorchZipFile(Views(), {{"0", Bytes()}}));
  const auto checkpoint = TorchCheckpoint::Open({path});
  ASSERT_THAT(checkpoint, IsOk());
  const auto tensors = (*checkpoint)->tensors();
  const int64_t begin = (*checkpoint)->storages()[0].begin;
  EXPECT_EQ(tensors[0].begin, begin);
  EXPECT_EQ(tensors[0].end, begin + 24);
  EXPECT_THAT(tensors[0].strides, IsEmpty());
  EXPECT_EQ(tensors[1].begin, begin);
  EXPECT_EQ(tensors[1].end, begin + 24);
  EXPECT_EQ(tensors[1].strides, (std::vector<int64_t>{1, 3}));
  EXPECT_EQ(tensors[2].begin, begin + 4);
  EXPECT_EQ(tensors[2].end, begin + 4 + 16);
  EXPECT_EQ(tensors[3].begin, begin + 20);
  EXPECT_EQ(tensors[3].end, begin + 24);
  EXPECT_EQ(tensors[5].storage_offset, 4);
  EXPECT_EQ(checkpoint_testing::ViewedBytes(**checkpoint, tensors[4]), "");
}

// Extents of 1 are never stepped along, and torch leaves any stride there.
TEST(TorchCheckpointTest, KnowsDenseTensorsWithOddStrides) {
  const std::string path = WriteTestFile(
      "m.bin", TorchZipFile({{"a", "IntStorage", "0", 6, 0, {1, 6}, {77, 1}}},
                            {{"0", Bytes()}}));
  const auto checkpoint = TorchCheckpoint::Open({path});
  ASSERT_THAT(checkpoint, IsOk());
  EXPECT_TRUE((*checkpoint)->tensors()[0].in_place);
}

TEST(TorchCheckpointTest, OpensShardsAsOneCheckpoint) {
  const std::string a = WriteTestFile(
      "a.bin", TorchZipFile({{"a", "IntStorage", "0", 6, 0, {6}, {1}}},
                            {{"0", Bytes()}}));
  const std::string b = WriteTestFile(
      "b.bin", TorchLegacyFile({{"b", "IntStorage", "0", 6, 2, {2}, {2}}},
                               {{"0", 6, Bytes()}}));
  const auto checkpoint = TorchCheckpoint::Open({a, b});
  ASSERT_THAT(checkpoint, IsOk());
  ASSERT_EQ((*checkpoint)->tensors().size(), 2);
  EXPECT_EQ((*checkpoint)->files().size(), 2);
  EXPECT_EQ((*checkpoint)->tensors()[0].storage, 0);
  EXPECT_EQ((*checkpoint)->tensors()[1].storage, 1);
  EXPECT_EQ((*checkpoint)->tensors()[1].file, 1);
  EXPECT_EQ(ReadBytes(**checkpoint, (*checkpoint)->tensors()[1]), Ints({2, 4}));
  EXPECT_THAT((*checkpoint)->Find("c"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("1 more file")));
}

TEST(TorchCheckpointTest, RefusesATensorInTwoFiles) {
  const std::string content = TorchZipFile(
      {{"a", "IntStorage", "0", 6, 0, {6}, {1}}}, {{"0", Bytes()}});
  const std::string a = WriteTestFile("a.bin", content);
  const std::string b = WriteTestFile("b.bin", content);
  EXPECT_THAT(TorchCheckpoint::Open({a, b}),
              StatusIs(absl::StatusCode::kDataLoss,
                       AllOf(HasSubstr("tensor 'a'"), HasSubstr("a.bin"),
                             HasSubstr("b.bin"))));
}

TEST(TorchCheckpointTest, RefusesNoFileAndAFileThatIsNotThere) {
  EXPECT_THAT(TorchCheckpoint::Open({}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(TorchCheckpoint::Open({"nowhere.bin"}),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST(TorchCheckpointTest, RefusesWrongDestinationsAndRanges) {
  const std::string path =
      WriteTestFile("m.bin", TorchZipFile(Views(), {{"0", Bytes()}}));
  const auto checkpoint = TorchCheckpoint::Open({path});
  ASSERT_THAT(checkpoint, IsOk());
  for (const TensorInfo& tensor : (*checkpoint)->tensors()) {
    SCOPED_TRACE(tensor.name);
    std::string bytes(tensor.nbytes() + 1, '\0');
    EXPECT_THAT((*checkpoint)->Read(tensor, absl::MakeSpan(bytes)),
                StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT((*checkpoint)->ReadSlice(tensor, {}, absl::MakeSpan(bytes)),
                StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(
        (*checkpoint)->ReadSlice(tensor, {{0, 99}}, absl::MakeSpan(bytes)),
        StatusIs(absl::StatusCode::kInvalidArgument));
  }
}

// Infos that were changed by hand reach no byte outside of a storage.
TEST(TorchCheckpointTest, RefusesTensorsThatItDoesNotList) {
  const std::string path =
      WriteTestFile("m.bin", TorchZipFile(Views(), {{"0", Bytes()}}));
  const auto checkpoint = TorchCheckpoint::Open({path});
  ASSERT_THAT(checkpoint, IsOk());
  const TensorInfo good = **(*checkpoint)->Find("transposed");
  std::vector<TensorInfo> bad(9, good);
  bad[0].storage = 1;
  bad[1].storage = -1;
  bad[2].file = 1;
  bad[3].storage_offset = 1;
  bad[4].strides = {1, 4};
  bad[5].strides = {1};
  bad[6].shape = {3, INT64_MAX};
  bad[7].storage_offset = -1;
  bad[8].dtype = Dtype::kFloat64;
  for (size_t i = 0; i < bad.size(); ++i) {
    std::string bytes(24, '\0');
    EXPECT_THAT((*checkpoint)->View(bad[i]),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << i;
    EXPECT_THAT((*checkpoint)->Read(bad[i], absl::MakeSpan(bytes)),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << i;
    EXPECT_THAT((*checkpoint)->ReadSlice(bad[i], {}, absl::MakeSpan(bytes)),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << i;
  }
}

// Opening looks at no storage; whoever reads a damaged one is told.
TEST(TorchCheckpointTest, ReportsDamagedDeflatedDataWhenItIsRead) {
  TestTorchZip options;
  options.deflate = true;
  std::string file = TorchZipFile(Views(), {{"0", Bytes()}}, options);
  std::string path = WriteTestFile("m.bin", file);
  auto checkpoint = TorchCheckpoint::Open({path});
  ASSERT_THAT(checkpoint, IsOk());
  file[(*checkpoint)->storages()[0].begin] = '\xFF';
  path = WriteTestFile("m2.bin", file);
  checkpoint = TorchCheckpoint::Open({path});
  ASSERT_THAT(checkpoint, IsOk());
  for (const TensorInfo& tensor : (*checkpoint)->tensors()) {
    if (tensor.nbytes() == 0) continue;
    EXPECT_THAT((*checkpoint)->View(tensor),
                StatusIs(absl::StatusCode::kDataLoss,
                         AllOf(HasSubstr("m2.bin"), HasSubstr("'data/0'"))));
  }
  TorchCheckpointOptions check;
  check.check_crc = true;
  EXPECT_THAT(TorchCheckpoint::Open({path}, check),
              StatusIs(absl::StatusCode::kDataLoss));
}

TEST(TorchCheckpointTest, ServesManyThreads) {
  TestTorchZip options;
  options.deflate = true;
  std::vector<TestView> views = Views();
  views.push_back({"other", "IntStorage", "1", 6, 0, {3, 2}, {1, 3}});
  const std::string path = WriteTestFile(
      "m.bin", TorchZipFile(views, {{"0", Bytes()}, {"1", Bytes()}}, options));
  const auto checkpoint = TorchCheckpoint::Open({path});
  ASSERT_THAT(checkpoint, IsOk());
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 100; ++round) {
        ExpectViews(**checkpoint, /*swapped=*/false);
        const auto other = (*checkpoint)->Find("other");
        EXPECT_EQ(ReadBytes(**checkpoint, **other), Ints({0, 3, 1, 4, 2, 5}));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace pretrained
