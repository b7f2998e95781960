#include "checkpoint/checkpoint_diff.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/open_checkpoint.h"
#include "checkpoint/safetensors_testutil.h"
#include "dtypes/dtype.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using checkpoint_testing::ManyTensors;
using checkpoint_testing::SafetensorsFileWith;
using checkpoint_testing::WriteTestFile;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Tensors in memory, in place or made by View(), that count what is read.
class MemoryCheckpoint : public Checkpoint {
 public:
  void Add(const std::string& name, Dtype dtype, std::vector<int64_t> shape,
           absl::string_view bytes, bool in_place = true) {
    TensorInfo tensor;
    tensor.name = name;
    tensor.dtype = dtype;
    tensor.shape = std::move(shape);
    tensor.begin = static_cast<int64_t>(bytes_.size());
    bytes_.append(bytes.data(), bytes.size());
    tensor.end = static_cast<int64_t>(bytes_.size());
    tensor.in_place = in_place;
    tensors_.push_back(std::move(tensor));
  }
  template <typename T>
  void Add(const std::string& name, Dtype dtype, std::vector<int64_t> shape,
           const std::vector<T>& values, bool in_place = true) {
    Add(name, dtype, std::move(shape),
        absl::string_view(reinterpret_cast<const char*>(values.data()),
                          values.size() * sizeof(T)),
        in_place);
  }
  void Fail(absl::Status status) { failure_ = std::move(status); }
  int64_t largest_read() const { return largest_read_; }
  int views() const { return views_; }

  absl::string_view format() const override { return "memory"; }
  absl::Span<const CheckpointFile> files() const override { return {}; }
  absl::Span<const TensorInfo> tensors() const override { return tensors_; }
  absl::Span<const std::pair<std::string, std::string>> metadata()
      const override {
    return {};
  }
  absl::StatusOr<const TensorInfo*> Find(absl::string_view) const override {
    return absl::NotFoundError("not asked for");
  }
  absl::StatusOr<TensorView> View(const TensorInfo& tensor) const override {
    EXPECT_FALSE(tensor.in_place) << tensor.name;
    ++views_;
    auto copy = std::make_shared<std::string>(
        bytes_.substr(tensor.begin, tensor.nbytes()));
    return TensorView{copy->data(), tensor.nbytes(), copy};
  }
  absl::Status Read(const TensorInfo& tensor,
                    absl::Span<char> destination) const override {
    EXPECT_EQ(tensor.nbytes(), destination.size());
    EXPECT_EQ(tensor.end - tensor.begin, destination.size());
    largest_read_ = std::max<int64_t>(largest_read_, destination.size());
    std::memcpy(destination.data(), bytes_.data() + tensor.begin,
                destination.size());
    return failure_;
  }
  absl::Status ReadSlice(const TensorInfo&, absl::Span<const SliceRange>,
                         absl::Span<char>) const override {
    return absl::UnimplementedError("not asked for");
  }
  absl::Status CheckFilesUnchanged() const override { return absl::OkStatus(); }

 private:
  std::string bytes_;
  std::vector<TensorInfo> tensors_;
  absl::Status failure_;
  mutable int64_t largest_read_ = 0;
  mutable int views_ = 0;
};

constexpr Dtype kF32 = Dtype::kFloat32;
using Floats = std::vector<float>;

TEST(CheckpointDiffTest, FindsNoDifferenceInEqualCheckpoints) {
  MemoryCheckpoint a, b;
  a.Add("x", kF32, {2}, Floats{1, 2});
  a.Add("empty", kF32, {0, 3}, Floats{});
  a.Add("scalar", Dtype::kInt64, {}, std::vector<int64_t>{7});
  b.Add("scalar", Dtype::kInt64, {}, std::vector<int64_t>{7}, false);
  b.Add("x", kF32, {2}, Floats{1, 2});
  b.Add("empty", kF32, {0, 3}, Floats{});
  const auto diff = DiffCheckpoints(a, b);
  ASSERT_THAT(diff, IsOk());
  EXPECT_TRUE(diff->is_same());
  EXPECT_EQ(diff->same_tensors, 3);
}

TEST(CheckpointDiffTest, ListsWhatOnlyOneHas) {
  MemoryCheckpoint a, b;
  for (const char* name : {"z", "both", "a"}) a.Add(name, kF32, {1}, Floats{1});
  for (const char* name : {"y", "b", "both"}) b.Add(name, kF32, {1}, Floats{1});
  const auto diff = DiffCheckpoints(a, b);
  ASSERT_THAT(diff, IsOk());
  EXPECT_FALSE(diff->is_same());
  EXPECT_THAT(diff->only_in_a, ElementsAre("z", "a"));
  EXPECT_THAT(diff->only_in_b, ElementsAre("y", "b"));
  EXPECT_THAT(diff->different, IsEmpty());
  EXPECT_EQ(diff->same_tensors, 1);
}

TEST(CheckpointDiffTest, SaysWhyTensorsDiffer) {
  MemoryCheckpoint a, b;
  a.Add("shape", kF32, {2, 3}, Floats{1, 2, 3, 4, 5, 6});
  b.Add("shape", kF32, {3, 2}, Floats{1, 2, 3, 4, 5, 6});
  a.Add("values", kF32, {2, 3}, Floats{1, 2, 3, 4, 5, 6});
  b.Add("values", kF32, {2, 3}, Floats{1, 2, 3, 4, 5.5, 8});
  a.Add("dtype", Dtype::kInt32, {2}, std::vector<int32_t>{1, 2});
  b.Add("dtype", kF32, {2}, Floats{1, 2});
  a.Add("both", Dtype::kInt8, {2}, std::vector<int8_t>{1, -2});
  b.Add("both", Dtype::kInt64, {2}, std::vector<int64_t>{1, 2});
  a.Add("scalar", kF32, {}, Floats{1});
  b.Add("scalar", kF32, {}, Floats{std::numeric_limits<float>::quiet_NaN()});
  const auto diff = DiffCheckpoints(a, b);
  ASSERT_THAT(diff, IsOk());
  const std::vector<TensorDifference>& found = diff->different;
  ASSERT_EQ(found.size(), 5);
  EXPECT_EQ(found[0].name, "shape");
  EXPECT_EQ(found[0].why, "shape [2,3], but [3,2]");
  EXPECT_FALSE(found[0].max_abs.has_value());
  EXPECT_EQ(found[1].why,
            "2 of 6 values differ, the first at [1,1]: 5, but 5.5");
  EXPECT_EQ(found[1].different_values, 2);
  EXPECT_EQ(found[1].max_abs, 2.0);
  EXPECT_EQ(found[2].why, "dtype int32, but float32");
  EXPECT_EQ(found[2].max_abs, 0.0);
  EXPECT_EQ(found[3].why,
            "dtype int8, but int64; 1 of 2 values differ, the first at [1]: "
            "-2, but 2");
  EXPECT_EQ(found[3].max_abs, 4.0);
  EXPECT_EQ(found[4].why, "1 of 1 values differ, the first at []: 1, but nan");
  EXPECT_EQ(found[4].max_abs, std::numeric_limits<double>::infinity());
}

TEST(CheckpointDiffTest, TakesCloseValuesForTheSameWithinTolerances) {
  MemoryCheckpoint a, b;
  a.Add("x", kF32, {2}, Floats{100, 0});
  b.Add("x", Dtype::kFloat64, {2}, std::vector<double>{100.5, 1e-9});
  const auto close =
      DiffCheckpoints(a, b, {.rtol = 0.01, .atol = 1e-8, .check_dtype = false});
  ASSERT_THAT(close, IsOk());
  EXPECT_TRUE(close->is_same());
  const auto dtype = DiffCheckpoints(a, b, {.rtol = 0.01, .atol = 1e-8});
  ASSERT_THAT(dtype, IsOk());
  ASSERT_EQ(dtype->different.size(), 1);
  EXPECT_EQ(dtype->different[0].why, "dtype float32, but float64");
  EXPECT_EQ(dtype->different[0].max_abs, 0.5);
  const auto far = DiffCheckpoints(a, b, {.rtol = 0.001, .check_dtype = false});
  ASSERT_THAT(far, IsOk());
  ASSERT_EQ(far->different.size(), 1);
  EXPECT_EQ(far->different[0].different_values, 2);

  for (const double bad : {-1.0, std::numeric_limits<double>::quiet_NaN()}) {
    EXPECT_THAT(
        DiffCheckpoints(a, b, {.rtol = bad}),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("tolerances")));
  }
}

// 9 MiB of bytes: read in pieces where in place, made whole where not.
TEST(CheckpointDiffTest, HoldsNoMoreThanPiecesOfTensorsInPlace) {
  constexpr int64_t kCount = (int64_t{9} << 20) / 4 + 3;
  Floats values(kCount, 1.0f);
  MemoryCheckpoint a, b;
  a.Add("x", kF32, {kCount}, values);
  a.Add("y", kF32, {kCount, 1}, values);
  values.back() = 2.0f;
  b.Add("x", kF32, {kCount}, values);
  b.Add("y", kF32, {kCount, 1}, values, /*in_place=*/false);
  std::vector<int64_t> progress;
  const auto diff = DiffCheckpoints(
      a, b, {.progress = [&](int64_t done_bytes, int64_t total_bytes) {
        EXPECT_EQ(total_bytes, 2 * kCount * 4);
        progress.push_back(done_bytes);
      }});
  ASSERT_THAT(diff, IsOk());
  ASSERT_EQ(diff->different.size(), 2);
  EXPECT_EQ(diff->different[0].why,
            absl::StrCat("1 of ", kCount, " values differ, the first at [",
                         kCount - 1, "]: 1, but 2"));
  EXPECT_EQ(diff->different[1].different_values, 1);
  EXPECT_LE(a.largest_read(), int64_t{4} << 20);
  EXPECT_LE(b.largest_read(), int64_t{4} << 20);
  EXPECT_EQ(a.views(), 0);
  EXPECT_EQ(b.views(), 1);
  EXPECT_GE(progress.size(), 6);
  EXPECT_EQ(progress.back(), 2 * kCount * 4);
}

TEST(CheckpointDiffTest, PassesOnTheErrorOfARead) {
  MemoryCheckpoint a, b;
  a.Add("x", kF32, {1}, Floats{1});
  b.Add("x", kF32, {1}, Floats{1});
  b.Fail(absl::DataLossError("cut short"));
  EXPECT_THAT(DiffCheckpoints(a, b), StatusIs(absl::StatusCode::kDataLoss));
}

TEST(CheckpointDiffTest, ComparesManyTensorsOfFiles) {
  constexpr int kTensors = 100'000;
  const std::string path = WriteTestFile(
      "many.safetensors", SafetensorsFileWith(ManyTensors(kTensors)));
  const auto checkpoint = OpenCheckpoint(path);
  ASSERT_THAT(checkpoint, IsOk());
  const absl::Time start = absl::Now();
  const auto diff = DiffCheckpoints(**checkpoint, **checkpoint);
  ASSERT_THAT(diff, IsOk());
  EXPECT_TRUE(diff->is_same());
  EXPECT_EQ(diff->same_tensors, kTensors);
  // Quadratic work would take minutes.
  EXPECT_LT(absl::Now() - start, absl::Seconds(20));
}

}  // namespace
}  // namespace pretrained
