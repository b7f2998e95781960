#include "checkpoint/torch/torch_legacy_writer.h"

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "checkpoint/safetensors_testutil.h"
#include "checkpoint/tensor_to_write.h"
#include "checkpoint/torch/torch_pickle_writer.h"
#include "dtypes/dtype.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using checkpoint_testing::MakeTestFolder;
using checkpoint_testing::ReadTestFile;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;

// A literal with its zero bytes.
template <size_t kSize>
absl::string_view Bytes(const char (&literal)[kSize]) {
  return absl::string_view(literal, kSize - 1);
}

std::string Folder() {
  return MakeTestFolder(absl::StrCat(
      "torch legacy writer ",
      ::testing::UnitTest::GetInstance()->current_test_info()->name()));
}

// torch.save({"a": tensor([1., 2.])}, _use_new_zipfile_serialization=False) of
// torch 2.1.0, the dict an OrderedDict, with "0" for the key of its storage.
// clang-format off
constexpr char kTorch21[] =
    "\x80\x02\x8a\nl\xfc\x9c" "F\xf9 j\xa8P\x19."
    "\x80\x02M\xe9\x03."
    "\x80\x02}q\x00("
    "X\x10\x00\x00\x00protocol_versionq\x01M\xe9\x03"
    "X\r\x00\x00\x00little_endianq\x02\x88"
    "X\n\x00\x00\x00type_sizesq\x03}q\x04("
    "X\x05\x00\x00\x00shortq\x05K\x02"
    "X\x03\x00\x00\x00intq\x06K\x04"
    "X\x04\x00\x00\x00longq\x07K\x04uu."
    "\x80\x02" "ccollections\nOrderedDict\nq\x00)Rq\x01"
    "X\x01\x00\x00\x00" "aq\x02" "ctorch._utils\n_rebuild_tensor_v2\nq\x03(("
    "X\x07\x00\x00\x00storageq\x04" "ctorch\nFloatStorage\nq\x05"
    "X\x01\x00\x00\x00" "0q\x06"
    "X\x03\x00\x00\x00" "cpuq\x07K\x02Ntq\x08QK\x00K\x02\x85q\tK\x01\x85q\n\x89"
    "h\x00)Rq\x0btq\x0cRq\rs."
    "\x80\x02]q\x00X\x01\x00\x00\x00" "0q\x01" "a."
    "\x02\x00\x00\x00\x00\x00\x00\x00" "\x00\x00\x80?\x00\x00\x00@";
// clang-format on

TEST(TorchLegacyWriterTest, WritesTheFileOfTorchSave) {
  const std::string path = Folder() + "/a.bin";
  const float a[] = {1, 2};
  ASSERT_THAT(WriteTorchLegacy(path, {{"a", Dtype::kFloat32, {2}, a}}), IsOk());
  EXPECT_EQ(ReadTestFile(path), Bytes(kTorch21));
}

TEST(TorchLegacyWriterTest, StoresAnAliasOnceAndCountsElements) {
  const std::string path = Folder() + "/a.bin";
  ASSERT_THAT(
      WriteTorchLegacy(path, {{"w", Dtype::kInt16, {2}, "abcd"},
                              {.name = "tied",
                               .dtype = Dtype::kInt16,
                               .shape = {2},
                               .alias_of = 0},
                              {"f", Dtype::kFloat8E5M2, {3}, "efg"},
                              {"u", Dtype::kUint16, {1}, "hi"},
                              {"empty", Dtype::kFloat32, {0}, nullptr}}),
      IsOk());
  EXPECT_THAT(ReadTestFile(path),
              EndsWith(absl::StrCat(
                  checkpoint_internal::MakeStorageKeysPickle(4),
                  Bytes("\2\0\0\0\0\0\0\0abcd"), Bytes("\3\0\0\0\0\0\0\0efg"),
                  // Two bytes: torch has no storage of this dtype.
                  Bytes("\2\0\0\0\0\0\0\0hi"), Bytes("\0\0\0\0\0\0\0\0"))));
}

TEST(TorchLegacyWriterTest, LeavesTheOldFileWhenItFails) {
  const std::string path = Folder() + "/a.bin";
  ASSERT_THAT(WriteTorchLegacy(path, {{"a", Dtype::kUint8, {2}, "ab"}}),
              IsOk());
  const std::string old = ReadTestFile(path);
  const TensorToWrite short_one = {
      .name = "s",
      .dtype = Dtype::kUint8,
      .shape = {9},
      .produce = [](TensorSink sink) { return sink("eightbyt"); }};
  EXPECT_THAT(
      WriteTorchLegacy(path, {short_one}),
      StatusIs(absl::StatusCode::kInternal,
               AllOf(HasSubstr("a.bin: tensor 's'"), HasSubstr("8 bytes"))));
  EXPECT_THAT(
      WriteTorchLegacy(path, {{"\xff", Dtype::kUint8, {1}, "a"}}),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr("a.bin: tensor"), HasSubstr("not UTF-8"))));
  EXPECT_EQ(ReadTestFile(path), old);
}

}  // namespace
}  // namespace pretrained
