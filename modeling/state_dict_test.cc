#include "modeling/state_dict.h"

#include <memory>
#include <string>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/tensor_bridge.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::unique_ptr<Checkpoint> Make(StateDict state_dict) {
  absl::StatusOr<std::unique_ptr<Checkpoint>> checkpoint =
      MakeStateDictCheckpoint(std::move(state_dict));
  EXPECT_THAT(checkpoint, IsOk());
  return *std::move(checkpoint);
}

at::Tensor Read(const Checkpoint& checkpoint, const char* name, bool use_mmap) {
  const TensorInfo* info = *checkpoint.Find(name);
  return *ReadTensor(checkpoint, *info,
                     {.dtype = info->dtype, .use_mmap = use_mmap});
}

TEST(FirstAliasesTest, FindsWhatIsTheSameMemory) {
  const at::Tensor a = at::arange(6).reshape({2, 3});
  const at::Tensor empty = at::empty({0});
  EXPECT_THAT(FirstAliases({{"a", a},
                            {"same", a.view({2, 3})},
                            {"other shape", a.view({6})},
                            {"other strides", a.t().contiguous().t()},
                            {"copy", a.clone()},
                            {"again", a},
                            {"empty", empty},
                            {"empty too", empty}}),
              ElementsAre(0, 0, 2, 3, 4, 0, 6, 7));
}

TEST(StateDictCheckpointTest, ListsTensorsInTheirOrderWithTheirTies) {
  const at::Tensor a = at::ones({2, 3}, at::kBFloat16);
  const auto checkpoint = Make({{"z", a}, {"a", at::arange(4)}, {"tied", a}});
  ASSERT_EQ(checkpoint->tensors().size(), 3u);
  EXPECT_EQ(checkpoint->tensors()[0].name, "z");
  EXPECT_EQ(checkpoint->tensors()[0].dtype, Dtype::kBfloat16);
  EXPECT_THAT(checkpoint->tensors()[0].shape, ElementsAre(2, 3));
  EXPECT_EQ(checkpoint->tensors()[2].storage, checkpoint->tensors()[0].storage);
  EXPECT_NE(checkpoint->tensors()[1].storage, checkpoint->tensors()[0].storage);
  EXPECT_THAT(checkpoint->Find("Z"), StatusIs(absl::StatusCode::kNotFound));
}

TEST(StateDictCheckpointTest, ViewsShareAndReadsCopy) {
  const at::Tensor dense = at::arange(12, at::kFloat).reshape({3, 4});
  const at::Tensor strided = dense.t();
  const auto checkpoint = Make({{"dense", dense}, {"strided", strided}});
  EXPECT_EQ(Read(*checkpoint, "dense", true).const_data_ptr(),
            dense.const_data_ptr());
  EXPECT_NE(Read(*checkpoint, "dense", false).const_data_ptr(),
            dense.const_data_ptr());
  for (bool use_mmap : {false, true}) {
    EXPECT_TRUE(at::equal(Read(*checkpoint, "dense", use_mmap), dense));
    EXPECT_TRUE(at::equal(Read(*checkpoint, "strided", use_mmap), strided));
  }
}

TEST(StateDictCheckpointTest, ReadsSlices) {
  const at::Tensor dense = at::arange(12, at::kFloat).reshape({3, 4});
  const auto checkpoint = Make({{"t", dense.t().contiguous().t()}});
  const TensorInfo* info = *checkpoint->Find("t");
  std::vector<float> part(4);
  const absl::Span<char> bytes(reinterpret_cast<char*>(part.data()), 16);
  const SliceRange ranges[] = {{1, 3}, {2, 4}};
  ASSERT_THAT(checkpoint->ReadSlice(*info, ranges, bytes), IsOk());
  EXPECT_THAT(part, ElementsAre(6, 7, 10, 11));
  EXPECT_THAT(checkpoint->ReadSlice(*info, ranges, bytes.subspan(1)),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("'t'"), HasSubstr("15"))));
}

// As converting ones, which go piece by piece, are read.
TEST(StateDictCheckpointTest, ReadsAPartByItsBytes) {
  const auto checkpoint =
      Make({{"first", at::ones({5})}, {"t", at::arange(8, at::kFloat)}});
  TensorInfo part = **checkpoint->Find("t");
  part.shape = {3};
  part.begin += 8;
  part.end = part.begin + 12;
  std::vector<float> numbers(3);
  const absl::Span<char> bytes(reinterpret_cast<char*>(numbers.data()), 12);
  ASSERT_THAT(checkpoint->Read(part, bytes), IsOk());
  EXPECT_THAT(numbers, ElementsAre(2, 3, 4));
  part.begin += 100;
  part.end += 100;
  EXPECT_THAT(checkpoint->Read(part, bytes),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'t'")));
}

TEST(StateDictCheckpointTest, RefusesWhatHasNoValuesOrNoNameOfItsOwn) {
  const at::Tensor good = at::ones({2});
  EXPECT_THAT(MakeStateDictCheckpoint({{"a", good}, {"a", good}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("'a' occurs twice")));
  EXPECT_THAT(MakeStateDictCheckpoint({{"a", at::Tensor()}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("'a' is undefined")));
  EXPECT_THAT(
      MakeStateDictCheckpoint({{"m", at::empty({2}, at::device(at::kMeta))}}),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr("'m'"), HasSubstr("meta"))));
}

}  // namespace
}  // namespace pretrained
