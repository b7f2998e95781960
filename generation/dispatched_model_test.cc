#include <memory>
#include <string>

#include "ATen/ATen.h"
#include "absl/status/status_matchers.h"
#include "absl/strings/str_cat.h"
#include "generation/generate.h"
#include "gtest/gtest.h"
#include "modeling/auto_model.h"
#include "modeling/from_pretrained.h"
#include "modeling/offload/dispatch.h"
#include "modeling/offload/fake_weights_testutil.h"
#include "modeling/pretrained_model.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;

class DispatchedModelTest : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Models, DispatchedModelTest,
                         testing::Values("BloomForCausalLM", "GPT2LMHeadModel",
                                         "GPTNeoXForCausalLM",
                                         "LlamaForCausalLM",
                                         "MistralForCausalLM", "OPTForCausalLM",
                                         "T5ForConditionalGeneration"));

TEST_P(DispatchedModelTest, GeneratesTheSameAsInMemory) {
  const absl::StatusOr<const ModelClass*> found = FindModel(GetParam());
  ASSERT_THAT(found, IsOk());
  const auto model =
      LoadPretrained(**found, absl::StrCat("testdata/models/", GetParam()));
  ASSERT_THAT(model, IsOk());
  const NamedTensors inputs = {
      {"input_ids", at::arange(3, 11, at::kLong).view({2, 4})}};
  for (const int beams : {1, 3}) {
    const GenerateOptions options = {
        .settings = {{"max_new_tokens", 8}, {"num_beams", beams}}};
    const auto want = Generate(**model, inputs, options);
    ASSERT_THAT(want, IsOk());
    const auto weights = std::make_shared<FakeWeights>((*model)->state_dict());
    ASSERT_THAT(DispatchModel(**model, {{"", "disk"}}, weights), IsOk());
    const auto got = Generate(**model, inputs, options);
    ASSERT_THAT(got, IsOk());
    EXPECT_TRUE(at::equal(got->sequences, want->sequences));
    ASSERT_THAT(RemoveHooks(**model), IsOk());
  }
}

}  // namespace
}  // namespace pretrained
