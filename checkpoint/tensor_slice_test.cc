#include "checkpoint/tensor_slice.h"

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "checkpoint/checkpoint.h"
#include "dtypes/dtype.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TensorInfo Tensor(std::vector<int64_t> shape, Dtype dtype = Dtype::kFloat32) {
  TensorInfo tensor;
  tensor.name = "w";
  tensor.dtype = dtype;
  tensor.shape = std::move(shape);
  tensor.begin = 1000;
  tensor.end = 1000 + DtypeSize(dtype) * tensor.num_elements();
  return tensor;
}

// The first byte of each run.
std::vector<int64_t> Runs(const TensorSlice& slice) {
  std::vector<int64_t> offsets;
  EXPECT_THAT(slice.ForEachRun([&](int64_t offset) {
    offsets.push_back(offset);
    return absl::OkStatus();
  }),
              IsOk());
  return offsets;
}

TEST(TensorSliceTest, IsOneRunForTheWholeTensor) {
  absl::StatusOr<TensorSlice> slice = TensorSlice::Create(Tensor({2, 3}), {});
  ASSERT_THAT(slice, IsOk());
  EXPECT_EQ(slice->run_bytes(), 24);
  EXPECT_THAT(Runs(*slice), ElementsAre(0));
}

TEST(TensorSliceTest, IsOneRunForRows) {
  absl::StatusOr<TensorSlice> slice =
      TensorSlice::Create(Tensor({8, 100}), {{2, 4}});
  ASSERT_THAT(slice, IsOk());
  EXPECT_EQ(slice->run_bytes(), 800);
  EXPECT_THAT(Runs(*slice), ElementsAre(800));
}

TEST(TensorSliceTest, IsARunARowForColumns) {
  absl::StatusOr<TensorSlice> slice =
      TensorSlice::Create(Tensor({3, 10}), {{0, 3}, {4, 6}});
  ASSERT_THAT(slice, IsOk());
  EXPECT_EQ(slice->run_bytes(), 8);
  EXPECT_THAT(Runs(*slice), ElementsAre(16, 56, 96));
  EXPECT_EQ(slice->span_bytes(/*step_bytes=*/40), 88);
  EXPECT_EQ(slice->span_bytes(/*step_bytes=*/39), 8);
}

TEST(TensorSliceTest, IsOneElementForAScalar) {
  absl::StatusOr<TensorSlice> slice = TensorSlice::Create(Tensor({}), {});
  ASSERT_THAT(slice, IsOk());
  EXPECT_EQ(slice->nbytes(), 4);
  EXPECT_THAT(Runs(*slice), ElementsAre(0));
}

TEST(TensorSliceTest, IsNothingForAnEmptyRangeOrTensor) {
  for (const TensorInfo& tensor : {Tensor({4, 5}), Tensor({0, 5})}) {
    absl::StatusOr<TensorSlice> slice = TensorSlice::Create(tensor, {{0, 0}});
    ASSERT_THAT(slice, IsOk());
    EXPECT_EQ(slice->nbytes(), 0);
    EXPECT_THAT(Runs(*slice), ElementsAre());
  }
}

TEST(TensorSliceTest, StopsAtTheFirstRunThatFails) {
  absl::StatusOr<TensorSlice> slice =
      TensorSlice::Create(Tensor({3, 10}), {{0, 3}, {4, 6}});
  ASSERT_THAT(slice, IsOk());
  int calls = 0;
  EXPECT_THAT(slice->ForEachRun([&](int64_t) {
    return ++calls == 2 ? absl::DataLossError("x") : absl::OkStatus();
  }),
              StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_EQ(calls, 2);
}

// Every slice of a small tensor, against indexing it element by element.
TEST(TensorSliceTest, CoversExactlyTheElementsOfEverySlice) {
  const std::vector<int64_t> shape = {3, 2, 4};
  const TensorInfo tensor = Tensor(shape, Dtype::kUint8);
  std::vector<std::vector<SliceRange>> ranges(3);
  for (size_t d = 0; d < 3; ++d) {
    for (int64_t start = 0; start <= shape[d]; ++start) {
      for (int64_t stop = start; stop <= shape[d]; ++stop) {
        ranges[d].push_back({start, stop});
      }
    }
  }
  for (const SliceRange& a : ranges[0]) {
    for (const SliceRange& b : ranges[1]) {
      for (const SliceRange& c : ranges[2]) {
        std::vector<int64_t> want;
        for (int64_t i = a.start; i < a.stop; ++i) {
          for (int64_t j = b.start; j < b.stop; ++j) {
            for (int64_t k = c.start; k < c.stop; ++k) {
              want.push_back((i * 2 + j) * 4 + k);
            }
          }
        }
        absl::StatusOr<TensorSlice> slice =
            TensorSlice::Create(tensor, {a, b, c});
        ASSERT_THAT(slice, IsOk());
        std::vector<int64_t> got;
        for (const int64_t offset : Runs(*slice)) {
          for (int64_t i = 0; i < slice->run_bytes(); ++i) {
            got.push_back(offset + i);
          }
        }
        EXPECT_EQ(got, want);
        EXPECT_EQ(slice->nbytes(), want.size());
      }
    }
  }
}

TEST(TensorSliceTest, RefusesRangesOutsideTheShape) {
  for (const SliceRange range : {SliceRange{-1, 2}, {0, 11}, {3, 2}}) {
    EXPECT_THAT(TensorSlice::Create(Tensor({3, 10}), {{0, 3}, range}),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("'w'"), HasSubstr("dimension 1"),
                               HasSubstr("extent 10"))))
        << range.start << ", " << range.stop;
  }
  EXPECT_THAT(TensorSlice::Create(Tensor({3}), {{0, 3}, {0, 1}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("2 ranges, but shape [3] has rank 1")));
}

TEST(TensorSliceTest, RefusesATensorWhoseRangeDoesNotFitItsShape) {
  TensorInfo tensor = Tensor({3, 10});
  tensor.end -= 4;
  EXPECT_THAT(TensorSlice::Create(tensor, {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("116 bytes are not what float32[3,10]")));
  tensor.shape = {int64_t{1} << 62, int64_t{1} << 62};
  EXPECT_THAT(TensorSlice::Create(tensor, {}),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace pretrained
