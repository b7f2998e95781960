#include "modeling/catch_torch.h"

#include <new>
#include <stdexcept>
#include <string>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::IsOkAndHolds;
using ::absl_testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(CatchTorchTest, WhatDoesNotThrowPasses) {
  EXPECT_THAT(CatchTorch("adding", [] { return absl::OkStatus(); }), IsOk());
  EXPECT_THAT(CatchTorch("adding",
                         []() -> absl::StatusOr<std::string> { return "sum"; }),
              IsOkAndHolds("sum"));
  EXPECT_THAT(CatchTorch("adding", [] { return absl::DataLossError("lost"); }),
              StatusIs(absl::StatusCode::kDataLoss, "lost"));
}

TEST(CatchTorchTest, LibTorchsMessageIsKeptWithoutItsBacktrace) {
  const absl::StatusOr<at::Tensor> sum =
      CatchTorch("adding", []() -> absl::StatusOr<at::Tensor> {
        return at::ones({2}) + at::ones({3});
      });
  EXPECT_THAT(sum, StatusIs(absl::StatusCode::kInvalidArgument,
                            AllOf(HasSubstr("adding: The size of tensor a (2)"),
                                  Not(HasSubstr("frame #")),
                                  Not(HasSubstr("Exception raised from")))));
}

TEST(CatchTorchTest, MemoryThatIsNotThereIsResourceExhausted) {
  EXPECT_THAT(CatchTorch("allocating",
                         []() -> absl::StatusOr<at::Tensor> {
                           return at::empty({int64_t{1} << 60});
                         }),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       HasSubstr("allocating: ")));
  EXPECT_THAT(CatchTorch("allocating",
                         []() -> absl::Status {
                           TORCH_CHECK_WITH(OutOfMemoryError, false, "no room");
                           return absl::OkStatus();
                         }),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       HasSubstr("allocating: no room")));
  EXPECT_THAT(CatchTorch("allocating",
                         []() -> absl::Status { throw std::bad_alloc(); }),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       "allocating: not enough memory"));
}

TEST(CatchTorchTest, StatusOnItsWayOutKeepsItsCode) {
  EXPECT_THAT(
      CatchTorch("calling the model",
                 []() -> absl::StatusOr<at::Tensor> {
                   throw StatusError(absl::DataLossError("file cut"));
                 }),
      StatusIs(absl::StatusCode::kDataLoss, "calling the model: file cut"));
}

TEST(CatchTorchTest, OtherExceptionsAreOurBug) {
  EXPECT_THAT(CatchTorch("adding",
                         []() -> absl::Status {
                           throw std::runtime_error("surprise");
                         }),
              StatusIs(absl::StatusCode::kInternal, "adding: surprise"));
}

}  // namespace
}  // namespace pretrained
