#include "modeling/better_transformer.h"

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/attention.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/pretrained_model.h"
#include "modeling/tensor_testutil.h"
#include "modeling/training_testutil.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

class BetterTransformerTest : public testing::TestWithParam<std::string> {
 protected:
  std::shared_ptr<PretrainedModel> Load(double dropout) {
    absl::StatusOr<std::shared_ptr<PretrainedModel>> model =
        LoadWithDropout(GetParam(), dropout);
    EXPECT_THAT(model, IsOk());
    return model.ok() ? *model : nullptr;
  }
};

void ExpectSameOutputs(const ModelOutput& got, const ModelOutput& want) {
  ASSERT_EQ(got.fields.size(), want.fields.size());
  for (size_t i = 0; i < got.fields.size(); ++i) {
    EXPECT_EQ(got.fields[i].first, want.fields[i].first);
    EXPECT_THAT(got.fields[i].second, IsCloseTo(want.fields[i].second, 1e-5))
        << got.fields[i].first;
  }
}

// Rows of the inputs are padded. Step by step (as attentions are asked for),
// fused where it does not show, and converted are the same.
TEST_P(BetterTransformerTest, OutputsAreTheSame) {
  std::shared_ptr<PretrainedModel> model = Load(0.1);
  ASSERT_NE(model, nullptr);
  const NamedTensors inputs = TrainingInputs(GetParam());
  const ForwardOptions options{.output_attentions = false,
                               .output_hidden_states = true,
                               .use_cache = true};
  ForwardOptions by_steps = options;
  by_steps.output_attentions = true;
  absl::StatusOr<ModelOutput> want = model->Call(inputs, options);
  absl::StatusOr<ModelOutput> slow = model->Call(inputs, by_steps);
  ASSERT_THAT(want, IsOk());
  ASSERT_THAT(slow, IsOk());
  EXPECT_FALSE(IsBetterTransformer(*model));
  ASSERT_THAT(model->ToBetterTransformer(), IsOk());
  EXPECT_TRUE(IsBetterTransformer(*model));
  absl::StatusOr<ModelOutput> got = model->Call(inputs, options);
  ASSERT_THAT(got, IsOk());
  ExpectSameOutputs(*got, *want);
  for (const auto& [name, tensor] : got->fields) {
    EXPECT_THAT(tensor, IsCloseTo(*slow->find(name), 1e-5)) << name;
  }
  ASSERT_THAT(model->ReverseBetterTransformer(), IsOk());
  got = model->Call(inputs, by_steps);
  ASSERT_THAT(got, IsOk());
  ExpectSameOutputs(*got, *slow);
}

// The rest of a text, after what is cached of its start.
TEST_P(BetterTransformerTest, GoesOnFromACache) {
  std::shared_ptr<PretrainedModel> model = Load(0.1);
  ASSERT_NE(model, nullptr);
  if (!model->can_generate() ||
      !TrainingInputs(GetParam()).contains("input_ids") ||
      GetParam().find("T5") != std::string::npos ||
      GetParam().find("ert") != std::string::npos) {
    GTEST_SKIP() << "makes no cache from input_ids";
  }
  const at::Tensor ids =
      TrainingInputs(GetParam()).at("input_ids").narrow(0, 0, 1);
  const int64_t length = ids.size(1);
  const ForwardOptions options{.use_cache = true};
  const auto rest = [&]() -> absl::StatusOr<at::Tensor> {
    absl::StatusOr<ModelOutput> start =
        model->Call({{"input_ids", ids.narrow(1, 0, length - 2)}}, options);
    if (!start.ok()) return start.status();
    NamedTensors inputs = {{"input_ids", ids.narrow(1, length - 2, 2)}};
    for (const auto& [name, tensor] : start->fields) {
      if (name.starts_with("past_key_values")) inputs[name] = tensor;
    }
    absl::StatusOr<ModelOutput> output = model->Call(inputs, options);
    if (!output.ok()) return output.status();
    return *output->find("logits");
  };
  const absl::StatusOr<at::Tensor> want = rest();
  ASSERT_THAT(want, IsOk());
  ASSERT_THAT(model->ToBetterTransformer(), IsOk());
  const absl::StatusOr<at::Tensor> got = rest();
  ASSERT_THAT(got, IsOk());
  EXPECT_THAT(*got, IsCloseTo(*want, 1e-5));
}

TEST_P(BetterTransformerTest, TrainsToTheSameGradients) {
  std::shared_ptr<PretrainedModel> model = Load(0.0);
  ASSERT_NE(model, nullptr);
  model->train();
  const auto step = [&] {
    absl::StatusOr<at::Tensor> output =
        FirstOutput(*model, TrainingInputs(GetParam()));
    EXPECT_THAT(output, IsOk());
    if (output.ok()) LossOf(*output).backward();
    return TakeGradients(*model);
  };
  const std::map<std::string, at::Tensor> want = step();
  ASSERT_THAT(model->ToBetterTransformer(), IsOk());
  const std::map<std::string, at::Tensor> got = step();
  for (const auto& [name, gradient] : want) {
    ASSERT_EQ(got.at(name).defined(), gradient.defined()) << name;
    if (gradient.defined()) {
      EXPECT_THAT(got.at(name), IsCloseTo(gradient, 1e-5)) << name;
    }
  }
}

TEST_P(BetterTransformerTest, RefusesWhatTheKernelCannotAndSaving) {
  std::shared_ptr<PretrainedModel> model = Load(0.1);
  ASSERT_NE(model, nullptr);
  EXPECT_THAT(model->ReverseBetterTransformer(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("nothing to reverse")));
  ASSERT_THAT(model->ToBetterTransformer(), IsOk());
  EXPECT_THAT(
      model->ToBetterTransformer(),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("already")));
  EXPECT_THAT(
      model->Call(TrainingInputs(GetParam()), {.output_attentions = true}),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr("output_attentions"),
                     HasSubstr("BetterTransformer"))));
  const std::string folder =
      absl::StrCat(testing::TempDir(), "/",
                   GetParam().substr(GetParam().rfind('/') + 1), "_converted");
  EXPECT_THAT(model->SavePretrained(folder),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("ReverseBetterTransformer")));
  EXPECT_FALSE(std::filesystem::exists(folder));
  ASSERT_THAT(model->ReverseBetterTransformer(), IsOk());
  EXPECT_THAT(model->SavePretrained(folder), IsOk());
}

INSTANTIATE_TEST_SUITE_P(Families, BetterTransformerTest,
                         testing::ValuesIn(TrainingFixtures()),
                         FixtureTestName);

AttentionArguments RandomArguments() {
  at::manual_seed(2);
  return {.query = at::randn({2, 4, 5, 8}),
          .key = at::randn({2, 2, 5, 8}),
          .value = at::randn({2, 2, 5, 8}),
          .scale = 0.3,
          .need_probabilities = false};
}

TEST(AlwaysFusedTest, RefusesHeadMasks) {
  AttentionArguments arguments = RandomArguments();
  arguments.head_mask = at::ones({1, 4, 1, 1});
  EXPECT_NO_THROW(Attend(arguments));
  arguments.always_fused = true;
  EXPECT_THROW(Attend(arguments), c10::Error);
}

// What the kernel drops it makes up for: the mean over many draws is what there
// is without dropout.
TEST(AlwaysFusedTest, DropsProbabilities) {
  AttentionArguments arguments = RandomArguments();
  arguments.always_fused = true;
  const at::Tensor want = Attend(arguments).context;
  arguments.dropout_probability = 0.5;
  const at::Tensor once = Attend(arguments).context;
  EXPECT_GT((once - want).abs().max().item<double>(), 0.1);
  at::Tensor sum = at::zeros_like(want);
  constexpr int kDraws = 4000;
  for (int i = 0; i < kDraws; ++i) sum += Attend(arguments).context;
  EXPECT_LT((sum / kDraws - want).abs().max().item<double>(), 0.1);
}

}  // namespace
}  // namespace pretrained
