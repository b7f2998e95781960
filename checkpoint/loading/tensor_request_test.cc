#include "checkpoint/loading/tensor_request.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
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
using checkpoint_testing::SafetensorsFile;
using checkpoint_testing::SafetensorsHeader;
using checkpoint_testing::TestTensor;
using checkpoint_testing::WriteTestFile;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// As save_pretrained() writes files: data start at a multiple of 8 bytes.
std::string AlignedFile(const std::vector<TestTensor>& tensors) {
  std::string json = SafetensorsHeader(tensors);
  json.append(-json.size() % 8, ' ');
  int64_t bytes = 0;
  for (const TestTensor& tensor : tensors) bytes += tensor.nbytes;
  return SafetensorsFile(json, bytes);
}

class TensorRequestTest : public testing::Test {
 protected:
  TensorRequestTest() {
    auto opened = OpenCheckpoint(WriteTestFile(
        "requests.safetensors", AlignedFile({{"rows", "F16", {6, 4}, 48},
                                             {"byte", "U8", {1}, 1},
                                             {"odd", "F32", {2}, 8},
                                             {"empty", "F32", {0}, 0}})));
    EXPECT_THAT(opened, IsOk());
    checkpoint_ = *std::move(opened);
  }

  const TensorInfo* Find(const char* name) const {
    return *checkpoint_->Find(name);
  }

  std::unique_ptr<Checkpoint> checkpoint_;
};

TEST_F(TensorRequestTest, KnowsWhatItBrings) {
  const TensorRequest all = {Find("rows"), Dtype::kFloat32};
  EXPECT_EQ(NumElements(all), 24);
  EXPECT_EQ(ResultBytes(all), 96);
  EXPECT_EQ(StoredBytes(all), 48);
  const TensorRequest part = {Find("rows"), Dtype::kFloat32, {{1, 3}, {0, 2}}};
  EXPECT_EQ(NumElements(part), 4);
  EXPECT_THAT(CheckRequest(*checkpoint_, part), IsOk());
}

TEST_F(TensorRequestTest, WhatCannotBeMetIsRefused) {
  EXPECT_THAT(CheckRequest(*checkpoint_, {Find("byte"), Dtype::kFloat32}),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("not converted to")));
  EXPECT_THAT(
      CheckRequest(*checkpoint_, {Find("rows"), Dtype::kFloat16, {{5, 7}}}),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr("requests.safetensors"), HasSubstr("rows"))));
  alignas(8) char memory[100];
  EXPECT_THAT(
      CheckRequest(
          *checkpoint_,
          {Find("rows"), Dtype::kFloat32, {}, absl::MakeSpan(memory, 96)}),
      IsOk());
  EXPECT_THAT(
      CheckRequest(
          *checkpoint_,
          {Find("rows"), Dtype::kFloat32, {}, absl::MakeSpan(memory, 95)}),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("has 95 bytes, but needs 96")));
  EXPECT_THAT(
      CheckRequest(
          *checkpoint_,
          {Find("rows"), Dtype::kFloat32, {}, absl::MakeSpan(memory + 2, 96)}),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("not aligned for")));
}

TEST_F(TensorRequestTest, EachGoesTheWayThatSuitsIt) {
  char memory[48];
  const std::vector<TensorRequest> requests = {
      {Find("rows"), Dtype::kFloat16},            // 0: as it is stored.
      {Find("rows"), Dtype::kFloat16},            // 1: the same bytes again.
      {Find("odd"), Dtype::kFloat32},             // 2: not aligned.
      {Find("byte"), Dtype::kUint8},              // 3: as it is stored.
      {Find("empty"), Dtype::kFloat32},           // 4: nothing to bring.
      {Find("rows"), Dtype::kFloat16, {{0, 1}}},  // 5: a part.
      {Find("byte"), Dtype::kUint8, {}, absl::MakeSpan(memory, 1)},
  };
  const std::map<int, FileShare> shares =
      ShareOut(*checkpoint_, requests, /*may_view=*/true);
  ASSERT_EQ(shares.size(), 1u);
  const FileShare& share = shares.begin()->second;
  EXPECT_THAT(share.as_stored, ElementsAre(0, 3));
  EXPECT_THAT(share.converted, ElementsAre(1, 5, 6, 2));
  EXPECT_THAT(share.whole, IsEmpty());
  EXPECT_THAT(share.viewed, IsEmpty());
}

}  // namespace
}  // namespace pretrained
