#include "modeling/exact_flops.h"

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "ATen/ATen.h"
#include "ATen/record_function.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "c10/core/InferenceMode.h"
#include "dtypes/dtype.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/activations.h"
#include "modeling/auto_model.h"
#include "modeling/few_row_linear.h"
#include "modeling/from_pretrained.h"
#include "modeling/json_testutil.h"
#include "modeling/model_layout.h"
#include "modeling/model_output.h"
#include "modeling/pretrained_config.h"
#include "modeling/pretrained_model.h"
#include "modeling/tensor_bridge.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Json = nlohmann::ordered_json;

at::Tensor Ids(at::IntArrayRef shape, at::Device device = at::kMeta) {
  return at::full(shape, 3, at::dtype(at::kLong).device(device));
}

NamedTensors InputsOf(const Json& golden, at::Device device) {
  NamedTensors inputs;
  for (const auto& [name, shape] : golden["inputs"].items()) {
    inputs[name] = Ids(shape.get<std::vector<int64_t>>(), device);
  }
  return inputs;
}

std::string FolderOf(const Json& golden) {
  return absl::StrCat("testdata/models/", golden["model"].get<std::string>());
}

const ModelClass& ClassIn(const std::string& folder) {
  const Json facts = ReadJsonFile(folder + "/facts.json");
  return **FindModel(facts["class"].get<std::string>());
}

PretrainedConfig ConfigIn(const std::string& folder) {
  return *PretrainedConfig::FromPretrained(
      folder, *ClassIn(folder).layout->config_class);
}

TEST(ExactFlopsTest, CountsTheProductsThatTorchsCounterCounts) {
  const Json cases = ReadJsonFile("testdata/flops/cases.json");
  ASSERT_EQ(cases.size(), 39u);
  for (const Json& golden : cases) {
    SCOPED_TRACE(golden.dump());
    const std::string folder = FolderOf(golden);
    for (const bool attentions : {false, true}) {
      const absl::StatusOr<ExactFlops> flops = FloatingPointOpsExact(
          ClassIn(folder), ConfigIn(folder), InputsOf(golden, at::kMeta),
          {.output_attentions = attentions, .use_cache = false});
      ASSERT_THAT(flops.status(), IsOk());
      EXPECT_EQ(flops->matmul(), golden["matmul"].get<int64_t>());
      EXPECT_GT(flops->total(), flops->matmul());
      EXPECT_THAT(flops->unknown, IsEmpty());
    }
  }
}

// Fused attention and kernels for few rows run there.
TEST(ExactFlopsTest, CountsTheSameWhereItIsComputed) {
  for (const Json& golden : ReadJsonFile("testdata/flops/cases.json")) {
    SCOPED_TRACE(golden.dump());
    const std::string folder = FolderOf(golden);
    const auto model = LoadPretrained(ClassIn(folder), folder);
    ASSERT_THAT(model, IsOk());
    for (const bool attentions : {false, true}) {
      const absl::StatusOr<ExactFlops> flops = FloatingPointOpsExact(
          **model, InputsOf(golden, at::kCPU),
          {.output_attentions = attentions, .use_cache = false});
      ASSERT_THAT(flops.status(), IsOk());
      EXPECT_EQ(flops->matmul(), golden["matmul"].get<int64_t>());
      EXPECT_THAT(flops->unknown, IsEmpty());
    }
  }
}

// The stored cases; or those of the folder that $FLOPS_CASES names, which
// testdata/flops/random_flops.py makes.
Json RandomCases() {
  const char* const folder = std::getenv("FLOPS_CASES");
  return ReadJsonFile(absl::StrCat(
      folder == nullptr ? "testdata/flops" : folder, "/random_cases.json"));
}

TEST(ExactFlopsTest, CountsTheProductsOfRandomModels) {
  const Json cases = RandomCases();
  ASSERT_GE(cases.size(), 40u);
  for (const Json& golden : cases) {
    SCOPED_TRACE(golden.dump());
    const ModelClass& model_class =
        **FindModel(golden["class"].get<std::string>());
    const absl::StatusOr<PretrainedConfig> config =
        PretrainedConfig::FromJsonString(golden["config"].dump(), "config.json",
                                         *model_class.layout->config_class);
    ASSERT_THAT(config, IsOk());
    NamedTensors inputs;
    for (const auto& [name, input] : golden["inputs"].items()) {
      const std::string dtype = input["dtype"];
      inputs[name] = at::empty(
          input["shape"].get<std::vector<int64_t>>(),
          at::dtype(ToScalarType(**ParseTorchDtype(dtype))).device(at::kMeta));
    }
    for (const bool attentions : {false, true}) {
      const absl::StatusOr<ExactFlops> flops = FloatingPointOpsExact(
          model_class, *config, inputs,
          {.output_attentions = attentions, .use_cache = false});
      // Attentions over an encoder that is not there are refused.
      if (attentions && !inputs.contains("encoder_hidden_states") &&
          golden["config"].value("add_cross_attention", false)) {
        continue;
      }
      ASSERT_THAT(flops.status(), IsOk());
      EXPECT_EQ(flops->matmul(), golden["matmul"].get<int64_t>());
      EXPECT_THAT(flops->unknown, IsEmpty());
    }
  }
}

// Every class, in float32 and in half, of its default config: BERT-base,
// LLaMA-7B, ..
TEST(ExactFlopsTest, KnowsEveryOperatorOfEveryClass) {
  const std::vector<std::string> names = KnownLayouts();
  ASSERT_GE(names.size(), 40u);
  for (const std::string& name : names) {
    SCOPED_TRACE(name);
    const ModelClass& model_class = **FindModel(name);
    const PretrainedConfig config(*model_class.layout->config_class);
    const bool has_choices = absl::EndsWith(name, "ForMultipleChoice");
    NamedTensors inputs = {
        {"input_ids", has_choices ? Ids({1, 2, 16}) : Ids({1, 16})}};
    if (absl::StartsWith(name, "T5") && name != "T5EncoderModel") {
      inputs["decoder_input_ids"] = Ids({1, 4});
    }
    for (const at::ScalarType dtype : {at::kFloat, at::kHalf, at::kBFloat16}) {
      const absl::StatusOr<ExactFlops> flops =
          FloatingPointOpsExact(model_class, config, inputs, {}, dtype);
      ASSERT_THAT(flops.status(), IsOk());
      EXPECT_THAT(flops->unknown, IsEmpty());
      EXPECT_GT(flops->matmul(), 0);
    }
  }
}

// Twice as many tokens cost twice as much, and the scores four times.
TEST(ExactFlopsTest, HasTheQuadraticPartOfAttention) {
  const ModelClass& model_class = **FindModel("BertModel");
  const PretrainedConfig config(*model_class.layout->config_class);
  const auto matmul = [&](int64_t tokens) {
    return FloatingPointOpsExact(model_class, config,
                                 {{"input_ids", Ids({1, tokens})}})
        ->matmul();
  };
  constexpr int64_t kTokens = 128;
  constexpr int64_t kLayers = 12;
  constexpr int64_t kHidden = 768;
  constexpr int64_t kPooler = 2 * kHidden * kHidden;
  const int64_t scores = 4 * kLayers * kHidden * kTokens * kTokens;
  const int64_t rest = matmul(kTokens) - scores - kPooler;
  EXPECT_EQ(rest, 2 * kTokens * kLayers * 12 * kHidden * kHidden);
  EXPECT_EQ(matmul(2 * kTokens), 4 * scores + 2 * rest + kPooler);
}

// 32 layers of a model of seven thousand million parameters, in no memory.
TEST(ExactFlopsTest, CountsALargeModelThatIsNotThere) {
  const ModelClass& model_class = **FindModel("LlamaForCausalLM");
  const PretrainedConfig config(*model_class.layout->config_class);
  const absl::StatusOr<ExactFlops> flops = FloatingPointOpsExact(
      model_class, config, {{"input_ids", Ids({1, 2048})}}, {}, at::kBFloat16);
  ASSERT_THAT(flops.status(), IsOk());
  constexpr int64_t kEmbeddings = int64_t{32000} * 4096;
  constexpr int64_t kWeights =
      int64_t{6738415616} - kEmbeddings - 65 * 4096;  // Norms are no matrices.
  EXPECT_EQ(flops->matmul(),
            2 * 2048 * kWeights + int64_t{4} * 32 * 4096 * 2048 * 2048);
}

TEST(ExactFlopsTest, ErrorsOfTheCallAreItsOwn) {
  const ModelClass& model_class = **FindModel("BertModel");
  const PretrainedConfig config(*model_class.layout->config_class);
  EXPECT_THAT(FloatingPointOpsExact(model_class, config, {{"ids", Ids({1})}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("no input 'ids'")));
  PretrainedConfig bad = config;
  bad.Set("num_attention_heads", 7);
  EXPECT_THAT(
      FloatingPointOpsExact(model_class, bad, {{"input_ids", Ids({1, 2})}}),
      StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_FALSE(at::hasThreadLocalCallbacks());
}

std::vector<std::string> NamesOf(const ExactFlops& flops) {
  std::vector<std::string> names;
  for (const OperatorCount& count : flops.operators) {
    names.push_back(count.name);
  }
  return names;
}

TEST(FlopCounterTest, CountsOperatorsAndNotWhatTheyCallInside) {
  const at::Tensor x = at::ones({2, 3});
  FlopCounter counter;
  at::linear(x, at::ones({5, 3}), at::ones({5}));
  at::layer_norm(x, {3}, at::ones({3}), at::ones({3}));
  at::ones({3}).add_(1.0).mul_(at::ones({3}));
  x.to(at::kHalf).reshape({3, 2}).contiguous();
  const ExactFlops flops = counter.Count();
  EXPECT_THAT(NamesOf(flops),
              ElementsAre("addmm", "native_layer_norm", "add", "mul"));
  EXPECT_EQ(flops.operators[0].matmul, 60);
  EXPECT_EQ(flops.operators[0].other, 10);
  EXPECT_EQ(flops.operators[0].calls, 1);
  EXPECT_EQ(flops.total(), 60 + 10 + 42 + 3 + 3);
  EXPECT_THAT(flops.unknown, IsEmpty());
}

TEST(FlopCounterTest, NamesOperatorsThatHaveNoFormula) {
  FlopCounter counter;
  at::digamma(at::ones({3}));
  at::erfinv(at::zeros({3}));
  const ExactFlops flops = counter.Count();
  EXPECT_THAT(flops.unknown, testing::Contains("erfinv"));
  EXPECT_THAT(flops.unknown, testing::Contains("digamma"));
  EXPECT_THAT(flops.unknown, testing::SizeIs(2));
}

// One row of a matrix large enough takes our own kernel.
TEST(FlopCounterTest, KernelsForFewRowsCountAsWhatTheyStandFor) {
  c10::InferenceMode no_gradients;
  const at::Tensor weight = at::ones({256, 128});
  const at::Tensor bias = at::ones({256});
  const at::Tensor x = at::ones({1, 2, 128});
  const auto count = [](auto compute) {
    FlopCounter counter;
    compute();
    return counter.Count();
  };
  const ExactFlops plain = count([&] { at::linear(x, weight, bias); });
  bool is_ours = false;
  const ExactFlops ours = count([&] {
    is_ours =
        LinearOfFewRows(x, weight, bias, WeightLayout::kOutIn).has_value();
  });
  if (!is_ours) GTEST_SKIP() << "this CPU has no such kernels";
  EXPECT_THAT(NamesOf(ours), ElementsAre("few_row_linear"));
  EXPECT_EQ(ours.matmul(), 2 * 2 * 128 * 256);
  EXPECT_EQ(ours.matmul(), plain.matmul());
  EXPECT_EQ(ours.total(), plain.total());
}

// On the CPU it is one pass, on the meta device operation by operation.
TEST(FlopCounterTest, GeluInOnePassCountsAsItsOperations) {
  c10::InferenceMode no_gradients;
  const ActivationFunction gelu = GetActivation("gelu_new");
  const auto count = [&](at::Device device) {
    FlopCounter counter;
    gelu(at::empty({3, 40}, at::device(device).dtype(at::kFloat)));
    return counter.Count();
  };
  const ExactFlops flops = count(at::kCPU);
  EXPECT_EQ(flops.total(), 8 * 3 * 40);
  EXPECT_EQ(flops.total(), count(at::kMeta).total());
  EXPECT_THAT(flops.unknown, IsEmpty());
}

TEST(FlopCounterTest, CountsOnlyWhileItLives) {
  const at::Tensor x = at::ones({2, 2});
  at::mm(x, x);
  {
    FlopCounter counter;
    EXPECT_EQ(counter.Count().total(), 0);
    at::mm(x, x);
    EXPECT_EQ(counter.Count().total(), 16);
    EXPECT_EQ(counter.Count().total(), 16) << "counting changes nothing";
  }
  EXPECT_FALSE(at::hasThreadLocalCallbacks());
}

TEST(FlopCounterTest, AnOuterCounterGetsWhatAnInnerOneCounted) {
  const at::Tensor x = at::ones({2, 2});
  FlopCounter outer;
  at::mm(x, x);
  {
    FlopCounter inner;
    at::mm(x, x);
    EXPECT_EQ(inner.Count().total(), 16);
    EXPECT_EQ(outer.Count().total(), 16);
  }
  at::mm(x, x);
  EXPECT_EQ(outer.Count().total(), 48);
  EXPECT_EQ(outer.Count().operators[0].calls, 3);
}

TEST(FlopCounterTest, IsOfItsThread) {
  const at::Tensor x = at::ones({2, 2});
  FlopCounter counter;
  std::thread([&] {
    at::mm(x, x);
    FlopCounter own;
    at::mm(x, x);
    at::mm(x, x);
    EXPECT_EQ(own.Count().total(), 32);
  }).join();
  EXPECT_EQ(counter.Count().total(), 0);
}

// An operator that throws ends, too.
TEST(FlopCounterTest, GoesOnAfterAnError) {
  const at::Tensor x = at::ones({2, 2});
  FlopCounter counter;
  EXPECT_THROW(at::linear(x, at::ones({2, 3})), c10::Error);
  at::linear(x, x);
  EXPECT_THAT(counter.Count().unknown, IsEmpty());
  EXPECT_EQ(counter.Count().operators.back().calls, 2)
      << "the product that failed was begun";
}

}  // namespace
}  // namespace pretrained
