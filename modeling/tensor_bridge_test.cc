#include "modeling/tensor_bridge.h"

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/open_checkpoint.h"
#include "checkpoint/safetensors_testutil.h"
#include "dtypes/dtype.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/tensor_testutil.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::IsOkAndHolds;
using ::absl_testing::StatusIs;
using checkpoint_testing::ReadTestFile;
using checkpoint_testing::SafetensorsFile;
using checkpoint_testing::SafetensorsHeader;
using checkpoint_testing::TestTensor;
using checkpoint_testing::WriteTestFile;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::unique_ptr<Checkpoint> Open(const std::string& path) {
  absl::StatusOr<std::unique_ptr<Checkpoint>> checkpoint = OpenCheckpoint(path);
  EXPECT_THAT(checkpoint, IsOk());
  return checkpoint.ok() ? *std::move(checkpoint) : nullptr;
}

// A file whose data starts at a multiple of eight bytes, as writers pad it.
std::string AlignedFile(std::string json, int64_t data_bytes) {
  json.append(8 - json.size() % 8, ' ');
  return SafetensorsFile(json, data_bytes);
}

std::string AlignedFileWith(const std::vector<TestTensor>& tensors) {
  int64_t data_bytes = 0;
  for (const TestTensor& tensor : tensors) data_bytes += tensor.nbytes;
  return AlignedFile(SafetensorsHeader(tensors), data_bytes);
}

// The raw bytes of a dense tensor.
std::string BytesOf(const at::Tensor& tensor) {
  return std::string(static_cast<const char*>(tensor.const_data_ptr()),
                     tensor.nbytes());
}

TEST(TensorBridgeTest, EveryDtypeHasAScalarTypeOfItsSizeAndBack) {
  for (const Dtype dtype : kAllDtypes) {
    SCOPED_TRACE(DtypeName(dtype));
    const at::ScalarType type = ToScalarType(dtype);
    EXPECT_EQ(c10::elementSize(type), DtypeSize(dtype));
    EXPECT_EQ(c10::isFloatingType(type), IsFloatingPoint(dtype));
    EXPECT_EQ(c10::isComplexType(type), IsComplex(dtype));
    EXPECT_THAT(ToDtype(type), IsOkAndHolds(dtype));
  }
}

TEST(TensorBridgeTest, TypesThatNoCheckpointHoldsHaveNoDtype) {
  for (const at::ScalarType type :
       {at::kQInt8, at::kComplexHalf, at::ScalarType::Undefined}) {
    EXPECT_THAT(ToDtype(type), StatusIs(absl::StatusCode::kUnimplemented,
                                        HasSubstr(c10::toString(type))));
  }
}

TEST(TensorBridgeTest, EveryStoredDtypeIsMappedAsItIs) {
  std::vector<TestTensor> tensors;
  for (const Dtype dtype : kAllDtypes) {
    if (!SafetensorsName(dtype).has_value()) continue;
    tensors.push_back({std::string(DtypeName(dtype)),
                       std::string(*SafetensorsName(dtype)),
                       {2, 8},
                       16 * DtypeSize(dtype)});
  }
  const std::string path =
      WriteTestFile("dtypes.safetensors", AlignedFileWith(tensors));
  const std::unique_ptr<Checkpoint> checkpoint = Open(path);
  ASSERT_NE(checkpoint, nullptr);
  ASSERT_GE(checkpoint->tensors().size(), 15u);
  for (const TensorInfo& info : checkpoint->tensors()) {
    SCOPED_TRACE(info.name);
    absl::StatusOr<at::Tensor> tensor =
        ReadTensor(*checkpoint, info, {.dtype = info.dtype});
    ASSERT_THAT(tensor, IsOk());
    EXPECT_EQ(tensor->scalar_type(), ToScalarType(info.dtype));
    EXPECT_EQ(tensor->sizes(), at::IntArrayRef({2, 8}));
    EXPECT_TRUE(tensor->is_contiguous());
    EXPECT_EQ(BytesOf(*tensor),
              checkpoint_testing::ReadBytes(*checkpoint, info));
    EXPECT_TRUE(IsMappedFrom(*tensor, path));
    // And without mapping.
    absl::StatusOr<at::Tensor> copy =
        ReadTensor(*checkpoint, info, {.dtype = info.dtype, .use_mmap = false});
    ASSERT_THAT(copy, IsOk());
    EXPECT_EQ(BytesOf(*copy), BytesOf(*tensor));
    EXPECT_FALSE(IsMappedFrom(*copy, path));
  }
}

// Data starts aligned; "b" starts one byte later.
TEST(TensorBridgeTest, MisalignedBytesAreCopied) {
  const std::string path = WriteTestFile(
      "misaligned.safetensors",
      AlignedFile(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                  R"("b":{"dtype":"F32","shape":[2],"data_offsets":[1,9]}})",
                  9));
  const std::unique_ptr<Checkpoint> checkpoint = Open(path);
  ASSERT_NE(checkpoint, nullptr);
  absl::StatusOr<const TensorInfo*> info = checkpoint->Find("b");
  ASSERT_THAT(info, IsOk());
  ASSERT_NE((*info)->begin % 4, 0);
  absl::StatusOr<at::Tensor> tensor =
      ReadTensor(*checkpoint, **info, {.dtype = Dtype::kFloat32});
  ASSERT_THAT(tensor, IsOk());
  EXPECT_FALSE(IsMappedFrom(*tensor, path));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor->const_data_ptr()) % 4, 0u);
  EXPECT_EQ(BytesOf(*tensor),
            checkpoint_testing::ReadBytes(*checkpoint, **info));
}

TEST(TensorBridgeTest, ATensorOutlivesItsCheckpointAndItsFile) {
  const std::string path = WriteTestFile(
      "gone.safetensors", AlignedFileWith({{"a", "U8", {100}, 100}}));
  std::unique_ptr<Checkpoint> checkpoint = Open(path);
  ASSERT_NE(checkpoint, nullptr);
  absl::StatusOr<at::Tensor> tensor = ReadTensor(
      *checkpoint, checkpoint->tensors()[0], {.dtype = Dtype::kUint8});
  ASSERT_THAT(tensor, IsOk());
  ASSERT_TRUE(IsMappedFrom(*tensor, path));
  checkpoint.reset();
  std::filesystem::remove(path);
  EXPECT_TRUE(at::equal(*tensor, at::arange(100, at::dtype(at::kByte))));
}

TEST(TensorBridgeTest, WritingToAMappedTensorDoesNotReachTheFile) {
  const std::string content = AlignedFileWith({{"a", "I64", {4}, 32}});
  const std::string path = WriteTestFile("written.safetensors", content);
  const std::unique_ptr<Checkpoint> checkpoint = Open(path);
  ASSERT_NE(checkpoint, nullptr);
  absl::StatusOr<at::Tensor> tensor = ReadTensor(
      *checkpoint, checkpoint->tensors()[0], {.dtype = Dtype::kInt64});
  ASSERT_THAT(tensor, IsOk());
  ASSERT_TRUE(IsMappedFrom(*tensor, path));
  tensor->fill_(-1);
  EXPECT_TRUE(at::equal(*tensor, at::full({4}, -1, at::dtype(at::kLong))));
  EXPECT_EQ(ReadTestFile(path), content);
}

TEST(TensorBridgeTest, EmptyTensorsAndScalarsKeepTheirShape) {
  const std::string path = WriteTestFile(
      "shapes.safetensors",
      AlignedFileWith({{"scalar", "F32", {}, 4}, {"empty", "F32", {3, 0}, 0}}));
  const std::unique_ptr<Checkpoint> checkpoint = Open(path);
  ASSERT_NE(checkpoint, nullptr);
  for (const bool use_mmap : {false, true}) {
    for (const Dtype dtype : {Dtype::kFloat32, Dtype::kFloat16}) {
      for (const TensorInfo& info : checkpoint->tensors()) {
        absl::StatusOr<at::Tensor> tensor = ReadTensor(
            *checkpoint, info, {.dtype = dtype, .use_mmap = use_mmap});
        ASSERT_THAT(tensor, IsOk()) << info.name;
        EXPECT_EQ(tensor->sizes(), at::IntArrayRef(info.shape));
        EXPECT_EQ(tensor->scalar_type(), ToScalarType(dtype));
      }
    }
  }
}

// Every half-precision pattern that is a number, to and from every other
// floating type, as LibTorch converts it.
TEST(TensorBridgeTest, ConvertsAsLibTorchDoes) {
  at::Tensor patterns = at::arange(65536, at::dtype(at::kInt)).to(at::kShort);
  patterns = patterns.view(at::kHalf);
  patterns = patterns.masked_select(patterns.isnan().logical_not());
  for (const Dtype stored :
       {Dtype::kFloat16, Dtype::kBfloat16, Dtype::kFloat32, Dtype::kFloat64}) {
    const at::Tensor values = patterns.to(ToScalarType(stored));
    std::string file =
        AlignedFileWith({{"a",
                          std::string(*SafetensorsName(stored)),
                          {values.numel()},
                          static_cast<int64_t>(values.nbytes())}});
    file.replace(file.size() - values.nbytes(), values.nbytes(),
                 BytesOf(values));
    const std::unique_ptr<Checkpoint> checkpoint =
        Open(WriteTestFile("values.safetensors", file));
    ASSERT_NE(checkpoint, nullptr);
    for (const Dtype wanted : {Dtype::kFloat16, Dtype::kBfloat16,
                               Dtype::kFloat32, Dtype::kFloat64}) {
      SCOPED_TRACE(absl::StrCat(DtypeName(stored), " to ", DtypeName(wanted)));
      absl::StatusOr<at::Tensor> tensor =
          ReadTensor(*checkpoint, checkpoint->tensors()[0], {.dtype = wanted});
      ASSERT_THAT(tensor, IsOk());
      EXPECT_EQ(tensor->scalar_type(), ToScalarType(wanted));
      EXPECT_EQ(BytesOf(*tensor), BytesOf(values.to(ToScalarType(wanted))));
    }
  }
}

TEST(TensorBridgeTest, RefusesToConvertWhatIsNotFloating) {
  const std::string path = WriteTestFile(
      "ids.safetensors", AlignedFileWith({{"ids", "I64", {2}, 16}}));
  const std::unique_ptr<Checkpoint> checkpoint = Open(path);
  ASSERT_NE(checkpoint, nullptr);
  EXPECT_THAT(ReadTensor(*checkpoint, checkpoint->tensors()[0],
                         {.dtype = Dtype::kFloat32}),
              StatusIs(absl::StatusCode::kUnimplemented,
                       AllOf(HasSubstr(path), HasSubstr("'ids'"),
                             HasSubstr("int64"), HasSubstr("float32"))));
}

// Cut short after it was opened: reading is a status, where a mapping would be
// a signal.
TEST(TensorBridgeTest, ReadingAFileThatWasCutShortIsDataLoss) {
  const std::string path = WriteTestFile(
      "cut.safetensors", AlignedFileWith({{"a", "F32", {4096}, 16384}}));
  const std::unique_ptr<Checkpoint> checkpoint = Open(path);
  ASSERT_NE(checkpoint, nullptr);
  std::filesystem::resize_file(path, 1000);
  const TensorInfo& info = checkpoint->tensors()[0];
  EXPECT_THAT(ReadTensor(*checkpoint, info,
                         {.dtype = Dtype::kFloat32, .use_mmap = false}),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr(path)));
  EXPECT_THAT(ReadTensor(*checkpoint, info, {.dtype = Dtype::kFloat16}),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr(path)));
}

}  // namespace
}  // namespace pretrained
