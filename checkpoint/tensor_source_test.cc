#include "checkpoint/tensor_source.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/tensor_to_write.h"
#include "dtypes/convert.h"
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

// One file in memory, which counts what is asked of it.
class FakeCheckpoint : public Checkpoint {
 public:
  explicit FakeCheckpoint(std::string bytes) : bytes_(std::move(bytes)) {}

  absl::string_view format() const override { return "fake"; }
  absl::Span<const CheckpointFile> files() const override { return {}; }
  absl::Span<const TensorInfo> tensors() const override { return {}; }
  absl::Span<const std::pair<std::string, std::string>> metadata()
      const override {
    return {};
  }
  absl::StatusOr<const TensorInfo*> Find(absl::string_view) const override {
    return absl::NotFoundError("none");
  }
  absl::StatusOr<TensorView> View(const TensorInfo& tensor) const override {
    ++views;
    auto copy = std::make_shared<std::string>(
        bytes_.substr(tensor.begin, tensor.nbytes()));
    return TensorView{.data = copy->data(),
                      .nbytes = static_cast<int64_t>(copy->size()),
                      .owner = copy};
  }
  absl::Status Read(const TensorInfo& tensor,
                    absl::Span<char> destination) const override {
    largest_read = std::max<int64_t>(largest_read, destination.size());
    if (tensor.end - tensor.begin != destination.size() ||
        tensor.end > bytes_.size()) {
      return absl::DataLossError("cut short");
    }
    std::memcpy(destination.data(), bytes_.data() + tensor.begin,
                destination.size());
    return absl::OkStatus();
  }
  absl::Status ReadSlice(const TensorInfo&, absl::Span<const SliceRange>,
                         absl::Span<char>) const override {
    return absl::UnimplementedError("");
  }
  absl::Status CheckFilesUnchanged() const override { return absl::OkStatus(); }

  mutable int views = 0;
  mutable int64_t largest_read = 0;

 private:
  std::string bytes_;
};

// Bytes that repeat at no power of two.
std::string Pattern(int64_t size) {
  std::string bytes(size, '\0');
  for (int64_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i % 251);
  return bytes;
}

absl::StatusOr<std::string> Collect(const TensorToWrite& tensor) {
  std::string all;
  const absl::Status status =
      ProduceBytes(tensor, [&](absl::string_view piece) {
        all.append(piece);
        return absl::OkStatus();
      });
  if (!status.ok()) return status;
  return all;
}

TEST(TensorSourceTest, ProducesTensorsInPlaceThroughLittleMemory) {
  constexpr int64_t kElements = 3'000'001;
  const std::string bytes = Pattern(kElements * 4 + 100);
  const FakeCheckpoint checkpoint(bytes);
  const TensorInfo info = {.name = "big",
                           .shape = {kElements, 1},
                           .begin = 100,
                           .end = 100 + kElements * 4};
  const TensorToWrite tensor =
      TensorFromCheckpoint(checkpoint, info, Dtype::kFloat32);
  EXPECT_EQ(tensor.name, "big");
  EXPECT_EQ(tensor.dtype, Dtype::kFloat32);
  EXPECT_THAT(tensor.shape, ElementsAre(kElements, 1));
  EXPECT_EQ(tensor.alias_of, -1);
  EXPECT_EQ(checkpoint.largest_read, 0) << "reads nothing before it is asked";
  const absl::StatusOr<std::string> got = Collect(tensor);
  ASSERT_THAT(got, IsOk());
  EXPECT_TRUE(*got == bytes.substr(100));
  EXPECT_EQ(checkpoint.views, 0);
  EXPECT_LE(checkpoint.largest_read, 4 << 20);
}

TEST(TensorSourceTest, ViewsOnceWhatIsNotInPlace) {
  constexpr int64_t kElements = 700'001;
  const std::string bytes = Pattern(kElements * 8);
  const FakeCheckpoint checkpoint(bytes);
  const TensorInfo info = {.name = "strided",
                           .dtype = Dtype::kInt64,
                           .shape = {kElements},
                           .begin = 0,
                           .end = 8,
                           .in_place = false};
  const absl::StatusOr<std::string> got =
      Collect(TensorFromCheckpoint(checkpoint, info, Dtype::kInt64));
  ASSERT_THAT(got, IsOk());
  EXPECT_TRUE(*got == bytes);
  EXPECT_EQ(checkpoint.views, 1);
  EXPECT_EQ(checkpoint.largest_read, 0);
}

// Every pair, over more than a piece, in place and not, gives what one call
// over all of it gives.
TEST(TensorSourceTest, ConvertsEveryPairOfFloatingDtypes) {
  constexpr int64_t kElements = (1 << 20) + 7;
  const FakeCheckpoint checkpoint(Pattern(kElements * 8));
  const std::string bytes = Pattern(kElements * 8);
  for (const Dtype from : {Dtype::kBfloat16, Dtype::kFloat32, Dtype::kFloat64,
                           Dtype::kFloat8E4M3FN}) {
    for (const Dtype to : {Dtype::kFloat16, Dtype::kFloat32, Dtype::kFloat64}) {
      SCOPED_TRACE(DtypeName(from));
      SCOPED_TRACE(DtypeName(to));
      std::string want(kElements * DtypeSize(to), '\0');
      ASSERT_THAT(Convert(from, bytes.data(), to, want.data(), kElements),
                  IsOk());
      for (const bool in_place : {true, false}) {
        const TensorInfo info = {.name = "t",
                                 .dtype = from,
                                 .shape = {kElements},
                                 .end = kElements * DtypeSize(from),
                                 .in_place = in_place};
        const absl::StatusOr<std::string> got =
            Collect(TensorFromCheckpoint(checkpoint, info, to));
        ASSERT_THAT(got, IsOk());
        EXPECT_TRUE(*got == want);
      }
    }
  }
  EXPECT_LE(checkpoint.largest_read, 4 << 20);
}

TEST(TensorSourceTest, SaysWhichTensorCannotBeConverted) {
  const FakeCheckpoint checkpoint(Pattern(8));
  const TensorInfo info = {
      .name = "position_ids", .dtype = Dtype::kInt64, .shape = {1}, .end = 8};
  EXPECT_THAT(Collect(TensorFromCheckpoint(checkpoint, info, Dtype::kFloat16)),
              StatusIs(absl::StatusCode::kUnimplemented,
                       AllOf(HasSubstr("'position_ids'"), HasSubstr("int64"),
                             HasSubstr("float16"))));
}

TEST(TensorSourceTest, PassesOnTheErrorsOfCheckpointAndSink) {
  const FakeCheckpoint checkpoint(Pattern(8));
  const TensorInfo info = {.name = "torn", .shape = {4}, .end = 16};
  EXPECT_THAT(Collect(TensorFromCheckpoint(checkpoint, info, Dtype::kFloat32)),
              StatusIs(absl::StatusCode::kDataLoss, "cut short"));
  TensorInfo whole = info;
  whole.shape = {2};
  whole.end = 8;
  for (const bool in_place : {true, false}) {
    whole.in_place = in_place;
    EXPECT_THAT(
        ProduceBytes(TensorFromCheckpoint(checkpoint, whole, Dtype::kFloat32),
                     [](absl::string_view) {
                       return absl::ResourceExhaustedError("full");
                     }),
        StatusIs(absl::StatusCode::kResourceExhausted, "full"));
  }
}

TEST(TensorSourceTest, FindsTheVerySameViewOnly) {
  const TensorInfo base = {.name = "a",
                           .shape = {2, 3},
                           .storage = 5,
                           .storage_offset = 1,
                           .strides = {3, 1}};
  std::vector<TensorInfo> tensors(12, base);
  tensors[1].name = "the same";
  tensors[2].strides = {};  // Row-major, which {3, 1} is.
  tensors[3].strides = {1, 2};
  tensors[4].storage = 6;
  tensors[5].storage_offset = 0;
  tensors[6].shape = {3, 2};
  tensors[6].strides = {};
  tensors[7].dtype = Dtype::kInt32;
  tensors[8].file = 1;
  tensors[9].storage = -1;
  tensors[10].storage = -1;
  tensors[11].strides = {1, 2};
  EXPECT_THAT(FindAliases(tensors),
              ElementsAre(-1, 0, 0, -1, -1, -1, -1, -1, -1, -1, -1, 3));
}

TEST(TensorSourceTest, StridesThatNoStepTakesDoNotTellViewsApart) {
  const TensorInfo row = {
      .name = "a", .shape = {1, 3}, .storage = 0, .strides = {3, 1}};
  TensorInfo other = row;
  other.strides = {1, 1};
  EXPECT_THAT(FindAliases({row, other}), ElementsAre(-1, 0));
  const TensorInfo empty = {.name = "e", .shape = {0}, .storage = 1};
  EXPECT_THAT(FindAliases({empty, empty}), ElementsAre(-1, -1));
}

}  // namespace
}  // namespace pretrained
