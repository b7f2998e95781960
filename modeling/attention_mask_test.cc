#include "modeling/attention_mask.h"

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "dtypes/dtype.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/json_testutil.h"
#include "modeling/tensor_bridge.h"
#include "modeling/tensor_testutil.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

// The stored cases; or those of the folder that $MASK_CASES names, which
// testdata/masks/random_masks.py makes.
std::string FolderOfCases() {
  const char* const folder = std::getenv("MASK_CASES");
  return folder == nullptr ? "testdata/masks" : folder;
}

Json Cases() { return ReadJsonFile(FolderOfCases() + "/cases.json"); }

NamedTensors Tensors() {
  return ReadGolden(FolderOfCases() + "/masks.safetensors", "");
}

at::ScalarType TypeNamed(const std::string& name) {
  return ToScalarType(**ParseTorchDtype(name));
}

at::Tensor Input(const NamedTensors& tensors, const std::string& name) {
  auto found = tensors.find(name);
  return found == tensors.end() ? at::Tensor() : found->second;
}

// Runs the function of `golden`; of a list of masks, all of them, stacked.
absl::StatusOr<at::Tensor> RunGolden(const std::string& name,
                                     const Json& golden,
                                     const NamedTensors& tensors) {
  const std::string function = golden["function"];
  const at::Tensor mask = Input(tensors, name + ".in.attention_mask");
  const at::ScalarType type =
      TypeNamed(golden.value("dtype", golden.value("model_dtype", "float32")));
  if (function == "get_extended_attention_mask") {
    return ExtendedAttentionMask(
        mask, {.dtype = type,
               .is_decoder = golden["is_decoder"].get<bool>(),
               .query_length = golden["input_shape"][1].get<int64_t>()});
  }
  if (function == "create_extended_attention_mask_for_decoder") {
    return CausalAttentionMask(mask, golden["input_shape"][1].get<int64_t>());
  }
  if (function == "invert_attention_mask") {
    return InvertAttentionMask(
        Input(tensors, name + ".in.encoder_attention_mask"), type);
  }
  EXPECT_EQ(function, "get_head_mask");
  absl::StatusOr<std::vector<at::Tensor>> layers =
      ExpandHeadMask(Input(tensors, name + ".in.head_mask"),
                     golden["num_hidden_layers"].get<int64_t>(), type,
                     golden["is_attention_chunked"].get<bool>());
  if (!layers.ok()) return layers.status();
  return at::stack(*layers);
}

TEST(AttentionMaskTest, MakesWhatThePeerMakesBitForBit) {
  const Json cases = Cases();
  const NamedTensors tensors = Tensors();
  ASSERT_GE(cases.size(), 60u);
  for (const auto& [name, golden] : cases.items()) {
    if (golden["result"].contains("raises") || name == "head-none") continue;
    SCOPED_TRACE(name);
    absl::StatusOr<at::Tensor> got = RunGolden(name, golden, tensors);
    ASSERT_THAT(got, IsOk());
    const at::Tensor& want = tensors.at(name + ".out");
    EXPECT_EQ(got->scalar_type(), want.scalar_type());
    EXPECT_EQ(got->sizes(), want.sizes());
    EXPECT_TRUE(at::equal(*got, want)) << DifferenceOf(*got, want, 0);
  }
}

TEST(AttentionMaskTest, RefusesWhatThePeerRefusesAndShowsTheShape) {
  const Json cases = Cases();
  const NamedTensors tensors = Tensors();
  int refused = 0;
  for (const auto& [name, golden] : cases.items()) {
    if (!golden["result"].contains("raises")) continue;
    SCOPED_TRACE(name);
    ++refused;
    EXPECT_THAT(RunGolden(name, golden, tensors),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("mask: has shape ["),
                               HasSubstr("is expected"))));
  }
  EXPECT_GE(refused, 6);
}

TEST(AttentionMaskTest, WithoutAHeadMaskEveryLayerHasNone) {
  const absl::StatusOr<std::vector<at::Tensor>> layers =
      ExpandHeadMask(at::Tensor(), 3, at::kFloat);
  ASSERT_THAT(layers, IsOk());
  ASSERT_EQ(layers->size(), 3u);
  for (const at::Tensor& layer : *layers) EXPECT_FALSE(layer.defined());
}

TEST(AttentionMaskTest, AHeadMaskOfRankFiveKeepsItsShape) {
  const at::Tensor mask = at::rand({3, 2, 4, 5, 5});
  const absl::StatusOr<std::vector<at::Tensor>> layers =
      ExpandHeadMask(mask, 3, at::kFloat);
  ASSERT_THAT(layers, IsOk());
  EXPECT_TRUE(at::equal(at::stack(*layers), mask));
}

TEST(AttentionMaskTest, AHeadMaskHasOneEntryALayer) {
  EXPECT_THAT(ExpandHeadMask(at::ones({2, 4}), 3, at::kFloat),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("head_mask: has shape [2, 4]"),
                             HasSubstr("each of the 3 layers"))));
}

TEST(AttentionMaskTest, AHeadMaskHasOneEntryAHeadOrOneForAll) {
  const auto expand = [](const at::Tensor& mask) {
    return ExpandHeadMask(mask, 3, at::kFloat, /*is_attention_chunked=*/false,
                          /*num_heads=*/4);
  };
  EXPECT_THAT(expand(at::ones({4})), IsOk());
  EXPECT_THAT(expand(at::ones({3, 4})), IsOk());
  EXPECT_THAT(expand(at::ones({3, 1})), IsOk());
  for (const at::Tensor& mask : {at::ones({3}), at::ones({3, 2})}) {
    EXPECT_THAT(expand(mask), StatusIs(absl::StatusCode::kInvalidArgument,
                                       HasSubstr("each of the 4 attention")));
  }
}

TEST(AttentionMaskTest, ADecodersMaskCoversItsQueries) {
  EXPECT_THAT(ExtendedAttentionMask(at::ones({1, 3}),
                                    {.is_decoder = true, .query_length = 4}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("has shape [1, 3]")));
  EXPECT_THAT(
      CausalAttentionMask(at::ones({3}), 2),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("has shape [3]")));
}

// Token 2 of 3, with two cached ones before, sees all but what comes after it.
TEST(AttentionMaskTest, CachedTokensAreSeenByEveryQuery) {
  const absl::StatusOr<at::Tensor> mask =
      CausalAttentionMask(at::ones({1, 5}, at::dtype(at::kLong)), 3);
  ASSERT_THAT(mask, IsOk());
  const at::Tensor want = at::tensor({1, 1, 1, 0, 0,  //
                                      1, 1, 1, 1, 0,  //
                                      1, 1, 1, 1, 1},
                                     at::dtype(at::kLong));
  EXPECT_TRUE(at::equal(*mask, want.reshape({1, 1, 3, 5})));
}

TEST(AttentionMaskTest, WhatIsNotAMaskOrADtypeOfScoresIsNamed) {
  const at::Tensor none;
  const at::Tensor mask = at::ones({2, 3}, at::dtype(at::kLong));
  for (const absl::Status& status :
       {ExtendedAttentionMask(none, {}).status(),
        InvertAttentionMask(none, at::kFloat).status(),
        CausalAttentionMask(none, 1).status()}) {
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument,
                                 HasSubstr("mask: is not defined")));
  }
  for (const absl::Status& status :
       {ExtendedAttentionMask(mask, {.dtype = at::kLong}).status(),
        InvertAttentionMask(mask, at::kLong).status(),
        LowestOf(at::kLong).status()}) {
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument,
                                 HasSubstr("dtype: is Long")));
  }
  EXPECT_THAT(CausalAttentionMask(mask, -1),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("query_length: is -1")));
  EXPECT_THAT(ExpandHeadMask(none, -1, at::kFloat),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("num_layers: is -1")));
}

TEST(AttentionMaskTest, HidingIsTheLowestNumberOfTheDtype) {
  for (const at::ScalarType type :
       {at::kHalf, at::kBFloat16, at::kFloat, at::kDouble}) {
    const absl::StatusOr<at::Tensor> mask =
        InvertAttentionMask(at::zeros({1, 1}), type);
    ASSERT_THAT(mask, IsOk());
    EXPECT_TRUE(mask->isfinite().all().item().toBool());
    // One step down is infinity.
    EXPECT_TRUE(at::isinf(*mask * 1.01).all().item().toBool());
  }
}

}  // namespace
}  // namespace pretrained
