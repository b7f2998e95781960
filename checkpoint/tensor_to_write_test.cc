#include "checkpoint/tensor_to_write.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/strings/string_view.h"
#include "dtypes/dtype.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::IsOkAndHolds;
using ::absl_testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

// All that ProduceBytes() hands on, in one string.
absl::Status Collect(const TensorToWrite& tensor, std::string* all) {
  return ProduceBytes(tensor, [&](absl::string_view piece) {
    all->append(piece);
    return absl::OkStatus();
  });
}

// A source of `pieces`, one after the other.
TensorToWrite Source(std::vector<int64_t> shape,
                     std::vector<std::string> pieces) {
  return {.name = "t",
          .dtype = Dtype::kUint8,
          .shape = std::move(shape),
          .produce = [pieces = std::move(pieces)](TensorSink sink) {
            for (const std::string& piece : pieces) {
              const absl::Status status = sink(piece);
              if (!status.ok()) return status;
            }
            return absl::OkStatus();
          }};
}

TEST(TensorToWriteTest, CountsBytes) {
  EXPECT_THAT(CheckedBytes({"s", Dtype::kFloat32, {}}), IsOkAndHolds(4));
  EXPECT_THAT(CheckedBytes({"m", Dtype::kBfloat16, {2, 3}}), IsOkAndHolds(12));
  EXPECT_THAT(CheckedBytes({"e", Dtype::kInt64, {5, 0}}), IsOkAndHolds(0));
  EXPECT_THAT(CheckedBytes({"n\n", Dtype::kInt64, {2, -1}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr(R"('n\n': shape [2,-1])")));
  EXPECT_THAT(CheckedBytes({"o", Dtype::kInt64, {INT64_MAX / 4}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("has no size in 64 bits")));
}

TEST(TensorToWriteTest, HandsOnMemoryAndWhatASourceGives) {
  std::string all;
  EXPECT_THAT(Collect({"d", Dtype::kUint8, {4}, "abcd"}, &all), IsOk());
  EXPECT_THAT(Collect(Source({4}, {"ef", "", "gh"}), &all), IsOk());
  EXPECT_EQ(all, "abcdefgh");
}

TEST(TensorToWriteTest, AsksNothingOfAnEmptyTensor) {
  std::string all;
  EXPECT_THAT(Collect({"e", Dtype::kUint8, {0}, nullptr}, &all), IsOk());
  EXPECT_THAT(Collect(Source({0, 3}, {"unwanted"}), &all), IsOk());
  EXPECT_EQ(all, "");
}

TEST(TensorToWriteTest, RefusesASourceOfTheWrongLength) {
  std::string all;
  EXPECT_THAT(Collect(Source({4}, {"abc"}), &all),
              StatusIs(absl::StatusCode::kInternal,
                       AllOf(HasSubstr("'t'"), HasSubstr("3 bytes"))));
  all.clear();
  EXPECT_THAT(Collect(Source({4}, {"abc", "de"}), &all),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("5 bytes")));
  EXPECT_LE(all.size(), 4u) << "no byte beyond the tensor may reach the file";
  EXPECT_THAT(Collect({"nothing", Dtype::kUint8, {4}}, &all),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("'nothing'")));
}

TEST(TensorToWriteTest, PassesOnTheErrorsOfSourceAndSink) {
  TensorToWrite failing = Source({4}, {});
  failing.produce = [](TensorSink) { return absl::DataLossError("torn"); };
  std::string all;
  EXPECT_THAT(Collect(failing, &all),
              StatusIs(absl::StatusCode::kDataLoss, "torn"));
  EXPECT_THAT(ProduceBytes(Source({4}, {"abcd"}),
                           [](absl::string_view) {
                             return absl::ResourceExhaustedError("full");
                           }),
              StatusIs(absl::StatusCode::kResourceExhausted, "full"));
}

}  // namespace
}  // namespace pretrained
