#include "modeling/offload/dispatch.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/auto_model.h"
#include "modeling/device_map_option.h"
#include "modeling/from_pretrained.h"
#include "modeling/json_testutil.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/offload/fake_weights_testutil.h"
#include "modeling/pretrained_model.h"
#include "modeling/save_pretrained.h"
#include "modeling/state_dict.h"
#include "modeling/tensor_testutil.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

using ModelPtr = std::shared_ptr<PretrainedModel>;

constexpr const char* kFixtures[] = {
    "BertForMaskedLM",
    "BertForSequenceClassification",
    "BertModel",
    "BloomForCausalLM",
    "DistilBertModel",
    "GPT2LMHeadModel",
    "GPTNeoXForCausalLM",
    "LlamaForCausalLM",
    "MistralForCausalLM",
    "OPTForCausalLM",
    "RobertaForMaskedLM",
    "T5ForConditionalGeneration",
    "T5ForConditionalGeneration-v1_1",
};

std::string FolderOf(const std::string& fixture) {
  return absl::StrCat("testdata/models/", fixture);
}

ModelPtr Load(const std::string& fixture) {
  const std::string folder = FolderOf(fixture);
  const std::string class_name =
      ReadJsonFile(absl::StrCat(folder, "/facts.json"))["class"];
  absl::StatusOr<const ModelClass*> found = FindModel(class_name);
  if (!found.ok()) return nullptr;
  absl::StatusOr<ModelPtr> model = LoadPretrained(**found, folder);
  EXPECT_THAT(model, IsOk());
  return model.ok() ? *model : nullptr;
}

NamedTensors InputsOf(const std::string& fixture) {
  return ReadGolden(absl::StrCat(FolderOf(fixture), "/io.safetensors"), "in.");
}

absl::StatusOr<ModelOutput> RunModel(PretrainedModel& model,
                                     const NamedTensors& inputs) {
  at::NoGradGuard no_grad;
  return model.Call(inputs,
                    {.output_attentions = true, .output_hidden_states = true});
}

void ExpectSameOutput(const absl::StatusOr<ModelOutput>& got,
                      const ModelOutput& want) {
  ASSERT_THAT(got, IsOk());
  ASSERT_EQ(got->fields.size(), want.fields.size());
  for (const auto& [name, tensor] : want.fields) {
    const at::Tensor* found = got->find(name);
    ASSERT_NE(found, nullptr) << name;
    ASSERT_FALSE(found->is_meta()) << name;
    EXPECT_TRUE(at::equal(*found, tensor)) << name;
  }
}

// Paths of the modules that have parameters of their own, in order.
std::vector<std::string> OwnersOf(PretrainedModel& model) {
  std::vector<std::string> paths;
  model.ForEachModule([&](const std::string& path, Module& module) {
    if (!module.named_parameters(/*recurse=*/false).is_empty()) {
      paths.push_back(path);
    }
  });
  return paths;
}

int64_t CountOnMeta(PretrainedModel& model) {
  int64_t count = 0;
  for (const auto& slot : model.TensorSlots()) count += slot.tensor.is_meta();
  return count;
}

int64_t LargestOf(const FakeWeights& weights) {
  int64_t largest = 0;
  for (const auto& weight : weights.weights()) {
    largest = std::max(largest, weight.nbytes);
  }
  return largest;
}

class DispatchTest : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(AllFamilies, DispatchTest,
                         testing::ValuesIn(kFixtures), [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST_P(DispatchTest, EverythingOffloadedComputesTheSame) {
  const ModelPtr model = Load(GetParam());
  ASSERT_NE(model, nullptr);
  const NamedTensors inputs = InputsOf(GetParam());
  const absl::StatusOr<ModelOutput> want = RunModel(*model, inputs);
  ASSERT_THAT(want, IsOk());
  const int64_t parameters = model->num_parameters();
  const int64_t footprint = model->get_memory_footprint();
  const auto weights = std::make_shared<FakeWeights>(model->state_dict());
  for (const int64_t ahead :
       {int64_t{0}, int64_t{1} << 30, LargestOf(*weights)}) {
    SCOPED_TRACE(ahead);
    ASSERT_THAT(DispatchModel(*model, {{"", "disk"}}, weights,
                              {.prefetch_bytes = ahead}),
                IsOk());
    EXPECT_TRUE(IsDispatched(*model));
    EXPECT_TRUE(model->device().is_meta());
    EXPECT_EQ(model->num_parameters(), parameters);
    EXPECT_EQ(model->get_memory_footprint(), footprint);
    for (const auto& slot : model->TensorSlots()) {
      EXPECT_EQ(slot.tensor.is_meta(), !slot.is_buffer) << slot.name;
    }
    for (int run = 0; run < 3; ++run) {
      ExpectSameOutput(RunModel(*model, inputs), *want);
    }
    if (ahead == 0) {
      EXPECT_EQ(weights->counts().live_bytes, 0);
    }
    ASSERT_THAT(RemoveHooks(*model), IsOk());
    EXPECT_EQ(CountOnMeta(*model), 0);
    ExpectSameOutput(RunModel(*model, inputs), *want);
  }
}

TEST_P(DispatchTest, RandomSplitsComputeTheSame) {
  const ModelPtr model = Load(GetParam());
  ASSERT_NE(model, nullptr);
  const NamedTensors inputs = InputsOf(GetParam());
  const absl::StatusOr<ModelOutput> want = RunModel(*model, inputs);
  ASSERT_THAT(want, IsOk());
  const auto weights = std::make_shared<FakeWeights>(model->state_dict());
  std::mt19937 random(7);
  for (int split = 0; split < 8; ++split) {
    DeviceMapEntries map = {{"", "cpu"}};
    for (const std::string& path : OwnersOf(*model)) {
      map.emplace_back(path, random() % 2 == 0 ? "cpu" : "disk");
    }
    ASSERT_THAT(DispatchModel(*model, map, weights,
                              {.prefetch_bytes = static_cast<int64_t>(
                                   random() % (3 * LargestOf(*weights)))}),
                IsOk());
    EXPECT_EQ(model->hf_device_map(), map);
    for (int run = 0; run < 2; ++run) {
      ExpectSameOutput(RunModel(*model, inputs), *want);
    }
    ASSERT_THAT(RemoveHooks(*model), IsOk());
  }
}

// What is here at once: the weights of the modules that run, one within the
// other at most, and those ahead.
TEST_P(DispatchTest, FetchedBytesStayWithinTheBudget) {
  const ModelPtr model = Load(GetParam());
  ASSERT_NE(model, nullptr);
  const auto weights = std::make_shared<FakeWeights>(model->state_dict());
  int64_t largest_module = 0;
  model->ForEachModule([&](const std::string&, Module& module) {
    int64_t bytes = 0;
    for (const auto& entry : module.named_parameters(/*recurse=*/false)) {
      bytes += entry.value().nbytes();
    }
    largest_module = std::max(largest_module, bytes);
  });
  const int64_t ahead = LargestOf(*weights);
  ASSERT_THAT(DispatchModel(*model, {{"", "disk"}}, weights), IsOk());
  for (int run = 0; run < 3; ++run) {
    ASSERT_THAT(RunModel(*model, InputsOf(GetParam())), IsOk());
    EXPECT_LE(weights->counts().live_bytes, ahead);
  }
  // A head may hold a bias of its own around a layer that runs within.
  EXPECT_LE(weights->counts().peak_bytes, ahead + 2 * largest_module);
  ASSERT_THAT(RemoveHooks(*model, OffloadedAfterwards::kOnMeta), IsOk());
  EXPECT_EQ(weights->counts().live_bytes, 0) << "the thread is gone";
  EXPECT_GT(CountOnMeta(*model), 0);
}

TEST_P(DispatchTest, SavesWhatTheModelInMemoryIs) {
  const ModelPtr model = Load(GetParam());
  ASSERT_NE(model, nullptr);
  const StateDict want = model->state_dict();
  const auto weights = std::make_shared<FakeWeights>(want);
  const std::string folder =
      absl::StrCat(testing::TempDir(), "/offloaded_", GetParam());
  const std::string in_memory = absl::StrCat(folder, "_in_memory");
  const auto saved_in_memory = model->SavePretrained(in_memory);
  ASSERT_THAT(saved_in_memory, IsOk());
  ASSERT_THAT(DispatchModel(*model, {{"", "disk"}}, weights), IsOk());
  const auto saved = model->SavePretrained(folder);
  ASSERT_THAT(saved, IsOk());
  EXPECT_EQ(saved->files, saved_in_memory->files);
  EXPECT_LE(weights->counts().peak_bytes, 2 * LargestOf(*weights))
      << "one after the other";
  const NamedTensors got =
      ReadGolden(absl::StrCat(folder, "/model.safetensors"), "");
  const NamedTensors same =
      ReadGolden(absl::StrCat(in_memory, "/model.safetensors"), "");
  ASSERT_EQ(got.size(), same.size());
  for (const auto& [name, tensor] : same) {
    EXPECT_TRUE(at::equal(got.at(name), tensor)) << name;
  }
}

TEST(DispatchModelTest, TheNextModuleComesInWhileOneComputes) {
  const ModelPtr model = Load("LlamaForCausalLM");
  const auto weights = std::make_shared<FakeWeights>(model->state_dict());
  const NamedTensors inputs = InputsOf("LlamaForCausalLM");
  ASSERT_THAT(DispatchModel(*model, {{"", "disk"}}, weights), IsOk());
  ASSERT_THAT(RunModel(*model, inputs), IsOk());
  weights->ClearEvents();
  weights->delay = absl::Milliseconds(2);
  ASSERT_THAT(RunModel(*model, inputs), IsOk());
  // Most come on the other thread, and begin before the one before is let go.
  int ahead = 0;
  int early = 0;
  const auto events = weights->events();
  for (size_t i = 0; i < events.size(); ++i) {
    if (events[i].what != "get") continue;
    if (events[i].thread == std::this_thread::get_id()) continue;
    ++ahead;
    for (size_t j = i + 1; j < events.size(); ++j) {
      if (events[j].what != "release") continue;
      early += events[j].name != events[i].name;
      break;
    }
  }
  EXPECT_GE(ahead, 1);
  EXPECT_GE(early, 1);
}

TEST(DispatchModelTest, TiedWeightsAreOneFetch) {
  const ModelPtr model = Load("GPT2LMHeadModel");
  const auto weights = std::make_shared<FakeWeights>(model->state_dict());
  ASSERT_THAT(DispatchModel(*model, {{"", "disk"}}, weights,
                            {.prefetch_bytes = int64_t{1} << 30}),
              IsOk());
  for (int run = 0; run < 2; ++run) {
    ASSERT_THAT(RunModel(*model, InputsOf("GPT2LMHeadModel")), IsOk());
  }
  EXPECT_EQ(weights->CountOf("get", "lm_head.weight"), 0);
  EXPECT_GT(weights->CountOf("get", "transformer.wte.weight"), 0);
}

TEST(DispatchModelTest, AnErrorIsTheStatusOfTheCallAndTheNextOneWorks) {
  const ModelPtr model = Load("BertForMaskedLM");
  const NamedTensors inputs = InputsOf("BertForMaskedLM");
  const absl::StatusOr<ModelOutput> want = RunModel(*model, inputs);
  ASSERT_THAT(want, IsOk());
  const auto weights = std::make_shared<FakeWeights>(model->state_dict());
  ASSERT_THAT(DispatchModel(*model, {{"", "disk"}}, weights), IsOk());
  for (const std::string& path : OwnersOf(*model)) {
    const std::string name = absl::StrCat(path, ".weight");
    if (weights->Find(name) == nullptr) continue;
    weights->Fail(name, absl::DataLossError("the file was cut"));
    const absl::StatusOr<ModelOutput> output = RunModel(*model, inputs);
    if (!output.ok()) {  // A tied one goes by another name.
      EXPECT_THAT(output, StatusIs(absl::StatusCode::kDataLoss,
                                   AllOf(HasSubstr(name),
                                         HasSubstr("the file was cut"))));
    }
    EXPECT_LE(weights->counts().live_bytes, LargestOf(*weights));
    weights->Mend();
    ExpectSameOutput(RunModel(*model, inputs), *want);
  }
  EXPECT_TRUE(at::GradMode::is_enabled());
}

TEST(DispatchModelTest, SeveralThreadsMayCallAtOnce) {
  const ModelPtr model = Load("T5ForConditionalGeneration");
  const NamedTensors inputs = InputsOf("T5ForConditionalGeneration");
  const absl::StatusOr<ModelOutput> want = RunModel(*model, inputs);
  ASSERT_THAT(want, IsOk());
  const auto weights = std::make_shared<FakeWeights>(model->state_dict());
  ASSERT_THAT(DispatchModel(*model, {{"", "disk"}}, weights), IsOk());
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int run = 0; run < 5; ++run) {
        ExpectSameOutput(RunModel(*model, inputs), *want);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(DispatchModelTest, GivesNoGradients) {
  const ModelPtr model = Load("LlamaForCausalLM");
  const auto weights = std::make_shared<FakeWeights>(model->state_dict());
  ASSERT_THAT(
      DispatchModel(*model, {{"", "cpu"}, {"model.layers.0", "disk"}}, weights),
      IsOk());
  const NamedTensors inputs = InputsOf("LlamaForCausalLM");
  const absl::StatusOr<ModelOutput> output = model->Call(inputs);
  ASSERT_THAT(output, IsOk());
  EXPECT_FALSE(output->find("logits")->requires_grad());
  EXPECT_TRUE(at::GradMode::is_enabled());
  const int64_t size = model->config().Get("hidden_size");
  EXPECT_THAT(model->Call({{"inputs_embeds",
                            at::zeros({1, 2, size}).set_requires_grad(true)}}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("requires a gradient"),
                             HasSubstr("NoGradGuard"))));
  model->train();
  EXPECT_THAT(model->Call(inputs),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("training mode")));
  at::NoGradGuard no_grad;
  EXPECT_THAT(model->Call(inputs), IsOk());
}

TEST(DispatchModelTest, RefusesMapsThatDoNotFitAndChangesNothing) {
  const ModelPtr model = Load("LlamaForCausalLM");
  const auto weights = std::make_shared<FakeWeights>(model->state_dict());
  const auto expect = [&](const DeviceMapEntries& map, auto source,
                          absl::StatusCode code, const std::string& message) {
    EXPECT_THAT(DispatchModel(*model, map, source),
                StatusIs(code, HasSubstr(message)));
    EXPECT_FALSE(IsDispatched(*model));
    EXPECT_EQ(CountOnMeta(*model), 0);
  };
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  expect({{"model", "disk"}}, weights, kInvalid, "'lm_head.weight' is below");
  expect({{"", "disk"}, {"model.layer", "cpu"}}, weights, kInvalid,
         "no module 'model.layer'");
  expect({{"", "tpu"}}, weights, kInvalid, "'tpu'");
  expect({{"", "disk"}}, nullptr, absl::StatusCode::kNotFound,
         "not among the offloaded weights");
  StateDict halves = model->state_dict();
  halves[3].second = halves[3].second.to(at::kHalf);
  expect({{"", "disk"}}, std::make_shared<FakeWeights>(halves), kInvalid,
         absl::StrCat("'", halves[3].first, "' is Half["));
  ASSERT_THAT(DispatchModel(*model, {{"", "disk"}}, weights), IsOk());
  EXPECT_THAT(DispatchModel(*model, {{"", "disk"}}, weights),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("RemoveHooks")));
}

TEST(DispatchModelTest, RefusesSurgeryOnWhatIsElsewhere) {
  const ModelPtr model = Load("BertForMaskedLM");
  const auto weights = std::make_shared<FakeWeights>(model->state_dict());
  for (const DeviceMapEntries& map :
       {DeviceMapEntries{{"", "disk"}},
        DeviceMapEntries{{"", "cpu"}, {"bert.encoder", "disk"}}}) {
    ASSERT_THAT(DispatchModel(*model, map, weights), IsOk());
    EXPECT_THAT(model->ResizeTokenEmbeddings(200),
                StatusIs(absl::StatusCode::kFailedPrecondition,
                         HasSubstr("offloaded")));
    EXPECT_THAT(model->PruneHeads({{0, {1}}}),
                StatusIs(absl::StatusCode::kFailedPrecondition,
                         HasSubstr("offloaded")));
    ASSERT_THAT(RemoveHooks(*model), IsOk());
  }
  EXPECT_THAT(model->ResizeTokenEmbeddings(200), IsOk());
}

TEST(DispatchModelTest, OneDeviceForAllTakesNoHooks) {
  const ModelPtr model = Load("LlamaForCausalLM");
  ASSERT_THAT(DispatchModel(*model, {{"", "cpu"}}, nullptr), IsOk());
  EXPECT_FALSE(IsDispatched(*model));
}

class CountingHook : public ModuleHook {
 public:
  void PreForward(Module&, absl::Span<at::Tensor* const>) override { ++count; }
  int count = 0;
};

TEST(DispatchModelTest, RemovingHooksLeavesOthersAndMayFail) {
  const ModelPtr model = Load("LlamaForCausalLM");
  const NamedTensors inputs = InputsOf("LlamaForCausalLM");
  const absl::StatusOr<ModelOutput> want = RunModel(*model, inputs);
  const auto counting = std::make_shared<CountingHook>();
  model->ForEachModule([&](const std::string& path, Module& module) {
    if (path == "model.norm") module.AddHook(counting);
  });
  const auto weights = std::make_shared<FakeWeights>(model->state_dict());
  ASSERT_THAT(DispatchModel(*model, {{"", "disk"}}, weights), IsOk());
  weights->Fail("model.norm.weight", absl::UnavailableError("I/O error"));
  EXPECT_THAT(RemoveHooks(*model), StatusIs(absl::StatusCode::kUnavailable,
                                            HasSubstr("model.norm.weight")));
  EXPECT_TRUE(IsDispatched(*model));
  weights->Mend();
  ExpectSameOutput(RunModel(*model, inputs), *want);
  ASSERT_THAT(RemoveHooks(*model), IsOk());
  EXPECT_FALSE(IsDispatched(*model));
  ExpectSameOutput(RunModel(*model, inputs), *want);
  EXPECT_EQ(counting->count, 2);
  EXPECT_THAT(RemoveHooks(*model), IsOk()) << "again";
}

}  // namespace
}  // namespace pretrained
