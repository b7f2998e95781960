#include "checkpoint/torch/torch_pickle_writer.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "checkpoint/tensor_to_write.h"
#include "dtypes/dtype.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// A literal with its zero bytes.
template <size_t kSize>
absl::string_view Bytes(const char (&literal)[kSize]) {
  return absl::string_view(literal, kSize - 1);
}

TensorToWrite Tensor(std::string name, Dtype dtype, std::vector<int64_t> shape,
                     int alias_of = -1) {
  TensorToWrite tensor;
  tensor.name = std::move(name);
  tensor.dtype = dtype;
  tensor.shape = std::move(shape);
  tensor.alias_of = alias_of;
  return tensor;
}

std::string PickleOf(const std::vector<TensorToWrite>& tensors,
                     TorchContainer container = TorchContainer::kZip) {
  const absl::StatusOr<TorchPickle> pickle =
      MakeTorchPickle(tensors, container);
  EXPECT_THAT(pickle, IsOk());
  return pickle.ok() ? pickle->bytes : "";
}

// data.pkl of torch 2.1.0's torch.save() of an OrderedDict of contiguous
// tensors, the second of which is a view of the first.
// clang-format off
constexpr char kTorch21[] =
    "\x80\x02"
    "ccollections\nOrderedDict\n" "q\x00" ")" "R" "q\x01" "("
    "X\x03\x00\x00\x00" "a.w" "q\x02"
    "ctorch._utils\n_rebuild_tensor_v2\n" "q\x03" "(" "("
    "X\x07\x00\x00\x00storage" "q\x04"
    "ctorch\nFloatStorage\n" "q\x05"
    "X\x01\x00\x00\x00" "0" "q\x06"
    "X\x03\x00\x00\x00" "cpu" "q\x07" "K\x06" "t" "q\x08" "Q" "K\x00"
    "K\x02" "K\x03" "\x86" "q\x09" "K\x03" "K\x01" "\x86" "q\n" "\x89"
    "h\x00" ")" "R" "q\x0b" "t" "q\x0c" "R" "q\x0d"
    "X\x02\x00\x00\x00\xc3\xa9" "q\x0e" "h\x03" "(" "(" "h\x04" "h\x05"
    "h\x06" "h\x07" "K\x06" "t" "q\x0f" "Q" "K\x00" "K\x06" "\x85" "q\x10"
    "K\x01" "\x85" "q\x11" "\x89" "h\x00" ")" "R" "q\x12" "t" "q\x13" "R"
    "q\x14"
    "X\x01\x00\x00\x00" "e" "q\x15" "h\x03" "(" "(" "h\x04"
    "ctorch\nBFloat16Storage\n" "q\x16"
    "X\x01\x00\x00\x00" "1" "q\x17" "h\x07" "K\x00" "t" "q\x18" "Q" "K\x00"
    "K\x02" "K\x00" "K\x03" "\x87" "q\x19" "K\x03" "K\x03" "K\x01" "\x87"
    "q\x1a" "\x89" "h\x00" ")" "R" "q\x1b" "t" "q\x1c" "R" "q\x1d"
    "X\x01\x00\x00\x00s" "q\x1e" "h\x03" "(" "(" "h\x04"
    "ctorch\nLongStorage\n" "q\x1f"
    "X\x01\x00\x00\x00" "2" "q " "h\x07" "K\x01" "t" "q!" "Q" "K\x00" ")"
    ")" "\x89" "h\x00" ")" "R" "q\"" "t" "q#" "R" "q$"
    "X\x04\x00\x00\x00" "four" "q%" "h\x03" "(" "(" "h\x04"
    "ctorch\nCharStorage\n" "q&"
    "X\x01\x00\x00\x00" "3" "q'" "h\x07" "M,\x01" "t" "q(" "Q" "K\x00" "("
    "K\x01" "K\x02" "K\x03" "K2" "t" "q)" "(" "M,\x01" "K\x96" "K2" "K\x01"
    "t" "q*" "\x89" "h\x00" ")" "R" "q+" "t" "q," "R" "q-" "u" ".";

// Of torch 2.5.1's, for 2.1.0 cannot save these dtypes.
constexpr char kTorch25[] =
    "\x80\x02"
    "ccollections\nOrderedDict\n" "q\x00" ")" "R" "q\x01" "("
    "X\x01\x00\x00\x00" "f" "q\x02"
    "ctorch._utils\n_rebuild_tensor_v3\n" "q\x03" "(" "("
    "X\x07\x00\x00\x00storage" "q\x04"
    "ctorch.storage\nUntypedStorage\n" "q\x05"
    "X\x01\x00\x00\x00" "0" "q\x06"
    "X\x03\x00\x00\x00" "cpu" "q\x07" "K\x06" "t" "q\x08" "Q" "K\x00"
    "K\x03" "K\x02" "\x86" "q\x09" "K\x02" "K\x01" "\x86" "q\n" "\x89"
    "h\x00" ")" "R" "q\x0b"
    "ctorch\nfloat8_e4m3fn\n" "q\x0c" "t" "q\x0d" "R" "q\x0e"
    "X\x01\x00\x00\x00g" "q\x0f" "h\x03" "(" "(" "h\x04" "h\x05"
    "X\x01\x00\x00\x00" "1" "q\x10" "h\x07" "M,\x01" "t" "q\x11" "Q"
    "K\x00" "M,\x01" "\x85" "q\x12" "K\x01" "\x85" "q\x13" "\x89" "h\x00"
    ")" "R" "q\x14"
    "ctorch\nfloat8_e5m2\n" "q\x15" "t" "q\x16" "R" "q\x17" "u" ".";

// The state dict's pickle within a legacy file of torch 2.1.0's, with "0" for
// the key of the storage.
constexpr char kTorch21Legacy[] =
    "\x80\x02"
    "ccollections\nOrderedDict\n" "q\x00" ")" "R" "q\x01"
    "X\x01\x00\x00\x00" "a" "q\x02"
    "ctorch._utils\n_rebuild_tensor_v2\n" "q\x03" "(" "("
    "X\x07\x00\x00\x00storage" "q\x04"
    "ctorch\nFloatStorage\n" "q\x05"
    "X\x01\x00\x00\x00" "0" "q\x06"
    "X\x03\x00\x00\x00" "cpu" "q\x07" "K\x02" "N" "t" "q\x08" "Q" "K\x00"
    "K\x02" "\x85" "q\x09" "K\x01" "\x85" "q\n" "\x89" "h\x00" ")" "R"
    "q\x0b" "t" "q\x0c" "R" "q\x0d" "s" ".";
// clang-format on

TEST(TorchPickleWriterTest, WritesWhatTorchSaveWrites) {
  const absl::StatusOr<TorchPickle> pickle = MakeTorchPickle(
      {Tensor("a.w", Dtype::kFloat32, {2, 3}),
       Tensor("\xc3\xa9", Dtype::kFloat32, {6}, /*alias_of=*/0),
       Tensor("e", Dtype::kBfloat16, {2, 0, 3}), Tensor("s", Dtype::kInt64, {}),
       Tensor("four", Dtype::kInt8, {1, 2, 3, 50})},
      TorchContainer::kZip);
  ASSERT_THAT(pickle, IsOk());
  EXPECT_EQ(pickle->bytes, Bytes(kTorch21));
  EXPECT_THAT(pickle->storages, ElementsAre(0, 2, 3, 4));
}

TEST(TorchPickleWriterTest, RebuildsDtypesWithoutAStorageClassFromBytes) {
  EXPECT_EQ(PickleOf({Tensor("f", Dtype::kFloat8E4M3FN, {3, 2}),
                      Tensor("g", Dtype::kFloat8E5M2, {300})}),
            Bytes(kTorch25));
  const std::string pickle = PickleOf({Tensor("u", Dtype::kUint32, {3})});
  EXPECT_THAT(pickle, AllOf(HasSubstr("ctorch.storage\nUntypedStorage\n"),
                            HasSubstr("ctorch\nuint32\n"), HasSubstr("K\x0ct")))
      << "the storage's length is in bytes";
}

TEST(TorchPickleWriterTest, WritesTheLegacyPersistentId) {
  EXPECT_EQ(
      PickleOf({Tensor("a", Dtype::kFloat32, {2})}, TorchContainer::kLegacy),
      Bytes(kTorch21Legacy));
}

// torch.load() cannot read UntypedStorage from a legacy file.
TEST(TorchPickleWriterTest, LegacyFilesKeepToTypedStorages) {
  EXPECT_THAT(
      PickleOf({Tensor("u", Dtype::kUint16, {2})}, TorchContainer::kLegacy),
      AllOf(HasSubstr("ctorch\nByteStorage\n"),
            HasSubstr("ctorch._utils\n_rebuild_tensor_v3\n"),
            Not(HasSubstr("UntypedStorage"))));
}

TEST(TorchPickleWriterTest, EveryDtypeSaysWhetherItsStorageIsTyped) {
  for (const Dtype dtype : kAllDtypes) {
    SCOPED_TRACE(DtypeName(dtype));
    const std::string pickle = PickleOf({Tensor("t", dtype, {7})});
    const int64_t length = HasTypedStorage(dtype) ? 7 : 7 * DtypeSize(dtype);
    EXPECT_THAT(pickle,
                HasSubstr(absl::StrCat("K", std::string(1, length), "tq\x08")));
    EXPECT_EQ(absl::StrContains(pickle, "_rebuild_tensor_v2"),
              HasTypedStorage(dtype));
  }
}

TEST(TorchPickleWriterTest, WritesIntegersOfEverySize) {
  const struct {
    int64_t value;
    absl::string_view opcodes;
  } kCases[] = {
      {255, Bytes("K\xff")},
      {256, Bytes("M\x00\x01")},
      {65535, Bytes("M\xff\xff")},
      {65536, Bytes("J\x00\x00\x01\x00")},
      {INT32_MAX, Bytes("J\xff\xff\xff\x7f")},
      {int64_t{1} << 31, Bytes("\x8a\x05\x00\x00\x00\x80\x00")},
      {(int64_t{1} << 39) - 1, Bytes("\x8a\x05\xff\xff\xff\xff\x7f")},
      {int64_t{1} << 39, Bytes("\x8a\x06\x00\x00\x00\x00\x80\x00")},
  };
  for (const auto& test : kCases) {
    SCOPED_TRACE(test.value);
    EXPECT_THAT(PickleOf({Tensor("t", Dtype::kUint8, {test.value})}),
                HasSubstr(absl::StrCat(test.opcodes, "\x85")));
  }
}

TEST(TorchPickleWriterTest, WritesAnEmptyStateDict) {
  const absl::StatusOr<TorchPickle> pickle =
      MakeTorchPickle({}, TorchContainer::kZip);
  ASSERT_THAT(pickle, IsOk());
  EXPECT_EQ(pickle->bytes, Bytes("\x80\x02"
                                 "ccollections\nOrderedDict\nq\x00)Rq\x01."));
  EXPECT_THAT(pickle->storages, IsEmpty());
}

TEST(TorchPickleWriterTest, WritesTheListOfKeys) {
  EXPECT_EQ(MakeStorageKeysPickle(0), Bytes("\x80\x02]q\x00."));
  EXPECT_EQ(MakeStorageKeysPickle(1), Bytes("\x80\x02]q\x00X\x01\x00\x00\x00"
                                            "0q\x01"
                                            "a."));
  EXPECT_EQ(MakeStorageKeysPickle(2), Bytes("\x80\x02]q\x00(X\x01\x00\x00\x00"
                                            "0q\x01X\x01\x00\x00\x00"
                                            "1q\x02"
                                            "e."));
}

TEST(TorchPickleWriterTest, RefusesWhatTorchCouldNotRead) {
  const struct {
    std::vector<TensorToWrite> tensors;
    const char* message;
  } kBad[] = {
      {{Tensor("a", Dtype::kFloat32, {1}), Tensor("a", Dtype::kFloat32, {1})},
       "two tensors are named 'a'"},
      {{Tensor("\xff", Dtype::kFloat32, {1})}, "its name is not UTF-8"},
      // A surrogate, which Python cannot encode.
      {{Tensor("\xed\xa0\x80", Dtype::kFloat32, {1})}, "is not UTF-8"},
      {{Tensor("n", Dtype::kFloat32, {-1})}, "'n': shape [-1]"},
      {{Tensor("o", Dtype::kFloat32, {INT64_MAX})}, "has no size in 64 bits"},
      {{Tensor("a", Dtype::kFloat32, {2}, 0)}, "only an earlier one"},
      {{Tensor("a", Dtype::kFloat32, {2}), Tensor("b", Dtype::kInt32, {2}, 0)},
       "'b': int32[2] is said to share the bytes of 'a'"},
      {{Tensor("a", Dtype::kFloat32, {2}),
        Tensor("b", Dtype::kFloat32, {3}, 0)},
       "but that is float32[2]"},
  };
  for (const auto& bad : kBad) {
    EXPECT_THAT(
        MakeTorchPickle(bad.tensors, TorchContainer::kZip),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(bad.message)));
  }
}

}  // namespace
}  // namespace checkpoint_internal
}  // namespace pretrained
