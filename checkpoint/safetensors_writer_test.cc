#include "checkpoint/safetensors_writer.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/safetensors_checkpoint.h"
#include "checkpoint/safetensors_testutil.h"
#include "checkpoint/tensor_to_write.h"
#include "dtypes/dtype.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using checkpoint_testing::MakeTestFolder;
using checkpoint_testing::ReadTestFile;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

// What the safetensors crate 0.4.0 writes for a float32 [2] named "a" and an
// int64 scalar named "b" with {"format": "pt"}.
TEST(SafetensorsWriterTest, WritesTheHeaderOfTheCrate) {
  const float a[] = {1, 2};
  const int64_t b = 3;
  std::vector<size_t> order;
  const absl::StatusOr<std::string> header = SafetensorsHeaderBytes(
      {{"a", Dtype::kFloat32, {2}, a}, {"b", Dtype::kInt64, {}, &b}},
      {{"format", "pt"}}, &order);
  ASSERT_THAT(header, IsOk());
  EXPECT_EQ(header->substr(8),
            R"({"__metadata__":{"format":"pt"},)"
            R"("b":{"dtype":"I64","shape":[],"data_offsets":[0,8]},)"
            R"("a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}} )"
            "     ");
  EXPECT_EQ(header->size() % 8, 0u);
  EXPECT_THAT(order, ElementsAre(1, 0));
}

TEST(SafetensorsWriterTest, WhatItWritesIsReadBack) {
  const std::string path = ::testing::TempDir() + "/written file.safetensors";
  const std::vector<uint8_t> bytes(512, 0x5a);
  std::vector<TensorToWrite> tensors;
  for (Dtype dtype : kAllDtypes) {
    if (!SafetensorsName(dtype).has_value()) continue;
    const std::string name(DtypeName(dtype));
    tensors.push_back(
        {name + " \"quoted\" \xc3\xa9", dtype, {2, 3}, bytes.data()});
    tensors.push_back({name + ".empty", dtype, {0, 4}, nullptr});
  }
  ASSERT_THAT(
      WriteSafetensors(path, tensors, {{"format", "pt"}, {"note", "\n"}}),
      IsOk());
  absl::StatusOr<std::unique_ptr<SafetensorsCheckpoint>> read =
      SafetensorsCheckpoint::Open({path});
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ((*read)->tensors().size(), tensors.size());
  EXPECT_THAT((*read)->metadata(),
              ElementsAre(Pair("format", "pt"), Pair("note", "\n")));
  for (const TensorToWrite& tensor : tensors) {
    absl::StatusOr<const TensorInfo*> info = (*read)->Find(tensor.name);
    ASSERT_THAT(info, IsOk());
    EXPECT_EQ((*info)->dtype, tensor.dtype);
    EXPECT_EQ((*info)->shape, tensor.shape);
    std::string data((*info)->nbytes(), '\0');
    ASSERT_THAT((*read)->Read(**info, absl::MakeSpan(data)), IsOk());
    EXPECT_EQ(data, std::string(data.size(), '\x5a'));
  }
}

TEST(SafetensorsWriterTest, WritesAFileWithoutTensorsOrMetadata) {
  const std::string path = ::testing::TempDir() + "/empty.safetensors";
  ASSERT_THAT(WriteSafetensors(path, {}, {}), IsOk());
  absl::StatusOr<std::unique_ptr<SafetensorsCheckpoint>> read =
      SafetensorsCheckpoint::Open({path});
  ASSERT_THAT(read, IsOk());
  EXPECT_TRUE((*read)->tensors().empty());
}

TEST(SafetensorsWriterTest, RefusesWhatNobodyCouldRead) {
  const std::string path = ::testing::TempDir() + "/refused.safetensors";
  const double x[2] = {};
  struct Bad {
    std::vector<TensorToWrite> tensors;
    const char* message;
  };
  const Bad kBad[] = {
      {{{"a", Dtype::kFloat32, {1}, x}, {"a", Dtype::kFloat32, {1}, x}},
       "two tensors are named 'a'"},
      {{{"__metadata__", Dtype::kFloat32, {1}, x}}, "'__metadata__'"},
      {{{"c", Dtype::kComplex128, {1}, x}}, "no dtype for complex128"},
      {{{"n", Dtype::kFloat32, {-1}, x}}, "tensor 'n': shape [-1]"},
      {{{"o", Dtype::kFloat32, {INT64_MAX, 2}, x}}, "has no size in 64 bits"},
      {{{"\xff", Dtype::kFloat32, {1}, x}}, "not UTF-8"},
      {{{"a", Dtype::kFloat32, {1}, x},
        {.name = "b", .shape = {1}, .data = x, .alias_of = 0}},
       "tensor 'b': shares the bytes of another"},
  };
  for (const Bad& bad : kBad) {
    EXPECT_THAT(WriteSafetensors(path, bad.tensors, {}),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         ::testing::AllOf(HasSubstr("refused.safetensors: "),
                                          HasSubstr(bad.message))));
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(SafetensorsWriterTest, StreamsWhatASourceProduces) {
  const std::string folder = MakeTestFolder("streams what a source produces");
  const std::string path = folder + "/a.safetensors";
  const auto produce = [](TensorSink sink) {
    absl::Status status = sink("abc");
    return status.ok() ? sink("defgh") : status;
  };
  const TensorToWrite good = {.name = "t", .shape = {2}, .produce = produce};
  ASSERT_THAT(WriteSafetensors(path, {good}, {}), IsOk());
  const std::string written = ReadTestFile(path);
  EXPECT_EQ(written.substr(written.size() - 8), "abcdefgh");

  TensorToWrite bad = good;
  bad.shape = {3};
  EXPECT_THAT(
      WriteSafetensors(path, {bad}, {}),
      StatusIs(absl::StatusCode::kInternal,
               ::testing::AllOf(HasSubstr("a.safetensors: tensor 't'"),
                                HasSubstr("8 bytes"), HasSubstr("12"))));
  EXPECT_EQ(ReadTestFile(path), written) << "the old file stays";
}

}  // namespace
}  // namespace pretrained
