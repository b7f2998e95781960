#include "modeling/causal_mask.h"

#include <cstdint>
#include <cstdlib>
#include <limits>
#include <string>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "dtypes/dtype.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/json_testutil.h"
#include "modeling/model_output.h"
#include "modeling/tensor_bridge.h"
#include "modeling/tensor_testutil.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::HasSubstr;

constexpr float kLowest = std::numeric_limits<float>::lowest();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

at::Tensor Rows(at::ArrayRef<float> values, at::IntArrayRef shape) {
  return at::tensor(values, at::dtype(at::kFloat)).reshape(shape);
}

using Json = nlohmann::ordered_json;

// The stored cases; or those of the folder that $MASK_CASES names, which
// testdata/masks/random_masks.py makes.
std::string FolderOfCases() {
  const char* const folder = std::getenv("MASK_CASES");
  return folder == nullptr ? "testdata/masks" : folder;
}

// What LLaMA, and with a window Mistral, adds to its scores, bit for bit. Their
// padding is all or nothing.
TEST(CausalBiasTest, MakesWhatThePeersMakeBitForBit) {
  const Json cases = ReadJsonFile(FolderOfCases() + "/causal_cases.json");
  const NamedTensors tensors =
      ReadGolden(FolderOfCases() + "/causal_masks.safetensors", "");
  ASSERT_GE(cases.size(), 60u);
  for (const auto& [name, golden] : cases.items()) {
    SCOPED_TRACE(name + golden.dump());
    CausalBiasOptions options{
        .query_length = golden["query_length"].get<int64_t>(),
        .past_length = golden["past_length"].get<int64_t>(),
        .dtype = ToScalarType(
            **ParseTorchDtype(golden["dtype"].get<std::string>()))};
    if (!golden["window"].is_null()) {
      options.window = golden["window"].get<int64_t>();
    }
    at::Tensor attends;
    const auto mask = tensors.find(name + ".in.attention_mask");
    if (mask != tensors.end()) attends = mask->second.to(options.dtype).eq(1);
    const absl::StatusOr<at::Tensor> got = CausalBias(attends, options);
    ASSERT_THAT(got, IsOk());
    const auto want = tensors.find(name + ".out");
    ASSERT_EQ(got->defined(), want != tensors.end());
    if (!got->defined()) continue;
    EXPECT_EQ(got->scalar_type(), options.dtype);
    EXPECT_TRUE(at::equal(got->expand_as(want->second), want->second))
        << DifferenceOf(*got, want->second, 0);
  }
}

TEST(CausalBiasTest, ScoresHaveAFloatingDtype) {
  EXPECT_THAT(
      CausalBias({}, {.query_length = 2, .dtype = at::kInt}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("dtype: is Int")));
}

TEST(CausalBiasTest, HidesLaterKeys) {
  absl::StatusOr<at::Tensor> bias = CausalBias({}, {.query_length = 3});
  ASSERT_THAT(bias, IsOk());
  EXPECT_TRUE(at::equal(
      *bias,
      Rows({0, kLowest, kLowest, 0, 0, kLowest, 0, 0, 0}, {1, 1, 3, 3})));
}

TEST(CausalBiasTest, EveryQuerySeesWhatIsCached) {
  absl::StatusOr<at::Tensor> bias =
      CausalBias({}, {.query_length = 2, .past_length = 2});
  ASSERT_THAT(bias, IsOk());
  EXPECT_TRUE(
      at::equal(*bias, Rows({0, 0, 0, kLowest, 0, 0, 0, 0}, {1, 1, 2, 4})));
}

// Each row has its padding; a key that is padding and later gets both.
TEST(CausalBiasTest, AddsPadding) {
  const at::Tensor mask =
      at::tensor({0, 1, 1, 1, 1, 0}, at::dtype(at::kLong)).reshape({2, 3});
  absl::StatusOr<at::Tensor> bias = CausalBias(mask, {.query_length = 3});
  ASSERT_THAT(bias, IsOk());
  EXPECT_TRUE(at::equal(
      *bias,
      Rows({kLowest, kLowest, kLowest, kLowest, 0, kLowest, kLowest, 0, 0,
            //
            0, kLowest, -kInfinity, 0, 0, -kInfinity, 0, 0, kLowest},
           {2, 1, 3, 3})));
}

// As the peer has it: a window of n shows n + 1 keys, and every cached one.
TEST(CausalBiasTest, AWindowHidesKeysThatAreFarBefore) {
  absl::StatusOr<at::Tensor> bias =
      CausalBias({}, {.query_length = 3, .past_length = 2, .window = 1});
  ASSERT_THAT(bias, IsOk());
  EXPECT_TRUE(at::equal(*bias, Rows({0, 0, 0, -kInfinity, -kInfinity,  //
                                     0, 0, 0, 0, -kInfinity,           //
                                     0, 0, -kInfinity, 0, 0},
                                    {1, 1, 3, 5})));
  bias = CausalBias({}, {.query_length = 2, .window = 0});
  ASSERT_THAT(bias, IsOk());
  EXPECT_TRUE(
      at::equal(*bias, Rows({0, -kInfinity, -kInfinity, 0}, {1, 1, 2, 2})));
  bias = CausalBias(
      {}, {.query_length = 2, .window = std::numeric_limits<int64_t>::max()});
  ASSERT_THAT(bias, IsOk());
  EXPECT_TRUE(at::equal(*bias, Rows({0, -kInfinity, 0, 0}, {1, 1, 2, 2})));
}

TEST(CausalBiasTest, PaddingWithinAWindowIsSeenWhereThereIsNothingElse) {
  absl::StatusOr<at::Tensor> bias =
      CausalBias(Rows({0, 0, 0, 1}, {1, 4}), {.query_length = 4, .window = 1});
  ASSERT_THAT(bias, IsOk());
  EXPECT_TRUE(at::equal(at::softmax(*bias, -1), Rows({1, 0, 0, 0, .5, .5, 0, 0,
                                                      0, .5, .5, 0, 0, 0, 0, 1},
                                                     {1, 1, 4, 4})));
}

TEST(CausalBiasTest, NoQuerySeesNothingAtAll) {
  for (const at::ScalarType type :
       {at::kFloat, at::kHalf, at::kBFloat16, at::kDouble}) {
    absl::StatusOr<at::Tensor> bias =
        CausalBias(at::zeros({1, 6}),
                   {.query_length = 4, .past_length = 2, .dtype = type});
    ASSERT_THAT(bias, IsOk());
    EXPECT_EQ(bias->scalar_type(), type);
    EXPECT_FALSE(
        at::softmax(bias->to(at::kDouble), -1).isnan().any().item().toBool());
  }
}

TEST(CausalBiasTest, OneQueryHasPaddingOnly) {
  absl::StatusOr<at::Tensor> none =
      CausalBias({}, {.query_length = 1, .past_length = 3});
  ASSERT_THAT(none, IsOk());
  EXPECT_FALSE(none->defined());
  absl::StatusOr<at::Tensor> some = CausalBias(
      Rows({0, 1, 0.5, 1}, {1, 4}), {.query_length = 1, .past_length = 3});
  ASSERT_THAT(some, IsOk());
  EXPECT_TRUE(
      at::equal(*some, Rows({kLowest, 0, kLowest / 2, 0}, {1, 1, 1, 4})));
}

TEST(CausalBiasTest, TheMaskMustCoverEveryKey) {
  for (const at::Tensor& mask : {at::ones({2, 3}), at::ones({2, 5}),
                                 at::ones({4}), at::ones({1, 1, 4})}) {
    EXPECT_THAT(CausalBias(mask, {.query_length = 3, .past_length = 1}),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("[batch, 4] is expected")))
        << mask.sizes();
  }
}

}  // namespace
}  // namespace pretrained
