// Loading by a device map: what the peer did of testdata/offload, maps drawn at
// random over every family, and what is refused.

#include <algorithm>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "checkpoint/safetensors_testutil.h"
#include "device_map/module_tree.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/auto_model.h"
#include "modeling/from_pretrained.h"
#include "modeling/json_testutil.h"
#include "modeling/loading_info.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/pretrained_config.h"
#include "modeling/pretrained_model.h"
#include "modeling/tensor_testutil.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

namespace fs = std::filesystem;
using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using checkpoint_testing::MakeTestFolder;
using checkpoint_testing::ReadTestFile;
using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;
using ModelPtr = std::shared_ptr<PretrainedModel>;

constexpr char kGpt2[] = "testdata/models/GPT2LMHeadModel";

absl::StatusOr<ModelPtr> Load(const std::string& folder,
                              const FromPretrainedOptions& options) {
  absl::StatusOr<PretrainedConfig> config = AutoConfig::FromPretrained(folder);
  if (!config.ok()) return config.status();
  absl::StatusOr<const ModelClass*> found = FindModelFor(*config, "");
  if (!found.ok()) return found.status();
  return LoadPretrained(**found, folder, options);
}

NamedTensors InputsOf(const std::string& folder) {
  NamedTensors inputs =
      ReadGolden(absl::StrCat(folder, "/io.safetensors"), "in.");
  inputs.erase("labels");
  return inputs;
}

// Every tensor of the output is the same, bit for bit.
void ExpectSameOutputs(PretrainedModel& got, PretrainedModel& want,
                       const NamedTensors& inputs) {
  at::NoGradGuard no_grad;
  const ForwardOptions options = {.output_hidden_states = true};
  absl::StatusOr<ModelOutput> a = got.Call(inputs, options);
  ASSERT_THAT(a, IsOk());
  absl::StatusOr<ModelOutput> b = want.Call(inputs, options);
  ASSERT_THAT(b, IsOk());
  const at::Tensor* first_a = a->find("logits");
  const at::Tensor* first_b = b->find("logits");
  if (first_a == nullptr) {
    first_a = a->find("last_hidden_state");
    first_b = b->find("last_hidden_state");
  }
  ASSERT_NE(first_a, nullptr);
  ASSERT_NE(first_b, nullptr);
  EXPECT_TRUE(at::equal(*first_a, *first_b));
}

class GoldenOffloadTest : public ::testing::TestWithParam<const char*> {};

TEST_P(GoldenOffloadTest, PlacesAndComputesAsThePeer) {
  const std::string folder = absl::StrCat("testdata/offload/", GetParam());
  const Json expect =
      Json::parse(ReadTestFile(absl::StrCat(folder, "/expect.json")));
  const bool is_bf16 = expect["torch_dtype"] == "torch.bfloat16";
  const std::string offload =
      absl::StrCat(MakeTestFolder("golden offload"), "/", GetParam());
  fs::remove_all(offload);
  LoadingInfo info;
  FromPretrainedOptions options = {.torch_dtype = is_bf16 ? "bfloat16" : "",
                                   .device_map = expect["device_map"].dump(),
                                   .offload_folder = offload,
                                   .output_loading_info = &info};
  absl::StatusOr<ModelPtr> model = Load(folder + "/checkpoint", options);
  ASSERT_THAT(model, IsOk());
  Json placed = Json::object();
  for (const auto& [module, device] : (*model)->hf_device_map()) {
    placed[module] = device;
  }
  EXPECT_EQ(placed, expect["hf_device_map"]);
  for (const Module::NamedSlot& slot : (*model)->TensorSlots()) {
    const auto golden = expect["parameter_devices"].find(slot.name);
    if (golden == expect["parameter_devices"].end()) continue;
    EXPECT_EQ(slot.tensor.device().str(), golden->get<std::string>())
        << slot.name;
  }
  EXPECT_GT(info.bytes_by_device["disk"], 0);
  EXPECT_GT(info.bytes_by_device["cpu"], 0);
  // What is stored as it is wanted stays in the checkpoint; the rest is as
  // accelerate wrote it.
  EXPECT_EQ(fs::exists(offload), is_bf16);
  if (is_bf16) {
    EXPECT_EQ(Json::parse(ReadTestFile(offload + "/index.json")),
              Json::parse(ReadTestFile(folder + "/offload_folder/index.json")));
    for (const auto& file : expect["offload_files"]) {
      const auto name = file.get<std::string>();
      if (!absl::EndsWith(name, ".dat")) continue;
      EXPECT_EQ(ReadTestFile(absl::StrCat(offload, "/", name)),
                ReadTestFile(absl::StrCat(folder, "/offload_folder/", name)))
          << name;
    }
  }
  options.device_map.clear();
  absl::StatusOr<ModelPtr> in_memory = Load(folder + "/checkpoint", options);
  ASSERT_THAT(in_memory, IsOk());
  ExpectSameOutputs(**model, **in_memory, InputsOf(folder));
  at::NoGradGuard no_grad;
  absl::StatusOr<ModelOutput> output = (*model)->Call(InputsOf(folder));
  ASSERT_THAT(output, IsOk());
  const NamedTensors golden = ReadGolden(folder + "/io.safetensors", "out.");
  EXPECT_THAT(
      output->find("logits")->to(at::kFloat),
      IsCloseTo(golden.at("logits").to(at::kFloat), is_bf16 ? 4e-2 : 1e-5));
}

INSTANTIATE_TEST_SUITE_P(Cases, GoldenOffloadTest,
                         ::testing::Values("bin", "bin-bf16", "bin-sharded",
                                           "safetensors"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

class RandomMapsTest : public ::testing::TestWithParam<const char*> {};

// Modules drawn at random go to the disk, whole or in part, over shortened
// entries; with a dtype that is stored, and one that is not.
TEST_P(RandomMapsTest, OutputsAreThoseOfTheModelInMemory) {
  const std::string folder = absl::StrCat("testdata/models/", GetParam());
  const std::string offload = MakeTestFolder("random offload");
  std::mt19937 random(20231127);
  for (const char* dtype : {"", "bfloat16"}) {
    absl::StatusOr<ModelPtr> want = Load(folder, {.torch_dtype = dtype});
    ASSERT_THAT(want, IsOk());
    std::vector<std::string> modules;
    ForEachModule((*want)->layout().tree.root,
                  [&](const std::string& path, const ModuleNode&) {
                    if (!path.empty()) modules.push_back(path);
                  });
    for (int round = 0; round < 4; ++round) {
      Json map = {{"", round == 0 || random() % 2 == 0 ? "disk" : "cpu"}};
      for (const std::string& module : modules) {
        if (round == 0 || random() % 3 != 0) continue;
        map[module] = random() % 2 == 0 ? "disk" : "cpu";
      }
      SCOPED_TRACE(absl::StrCat(dtype, " ", map.dump()));
      absl::StatusOr<ModelPtr> model =
          Load(folder, {.torch_dtype = dtype,
                        .device_map = map.dump(),
                        .offload_folder = offload});
      ASSERT_THAT(model, IsOk());
      ExpectSameOutputs(**model, **want, InputsOf(folder));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Families, RandomMapsTest,
    ::testing::Values("BertForMaskedLM", "BloomForCausalLM", "DistilBertModel",
                      "GPT2LMHeadModel", "GPTNeoXForCausalLM",
                      "LlamaForCausalLM", "MistralForCausalLM",
                      "OPTForCausalLM", "RobertaForMaskedLM",
                      "T5ForConditionalGeneration"),
    [](const auto& info) { return info.param; });

TEST(FromPretrainedDeviceMapTest, BudgetsAreKept) {
  LoadingInfo info;
  absl::StatusOr<ModelPtr> whole =
      Load(kGpt2, {.device_map = "cpu", .output_loading_info = &info});
  ASSERT_THAT(whole, IsOk());
  const int64_t budget = info.bytes * 2 / 3;
  absl::StatusOr<ModelPtr> model =
      Load(kGpt2, {.device_map = "auto",
                   .max_memory = {{"cpu", absl::StrCat(budget)}},
                   .output_loading_info = &info});
  ASSERT_THAT(model, IsOk());
  EXPECT_LE(info.bytes_by_device["cpu"], budget);
  EXPECT_GT(info.bytes_by_device["disk"], 0);
  ExpectSameOutputs(**model, **whole, InputsOf(kGpt2));
}

// What the checkpoint lacks and the disk is to hold is drawn, with the same
// numbers as in memory, and written.
TEST(FromPretrainedDeviceMapTest, DrawnWeightsGoToTheOffloadFolder) {
  const std::string folder = "testdata/formats/BertForMaskedLM/safetensors";
  absl::StatusOr<PretrainedConfig> config = AutoConfig::FromPretrained(folder);
  ASSERT_THAT(config, IsOk());
  absl::StatusOr<const ModelClass*> bert = FindModelFor(*config, "BertModel");
  ASSERT_THAT(bert, IsOk());
  const std::string offload =
      absl::StrCat(MakeTestFolder("drawn offload"), "/new");
  fs::remove_all(offload);
  EXPECT_THAT(LoadPretrained(**bert, folder, {.device_map = "disk", .seed = 7}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("'pooler.dense.weight'")));
  auto want = LoadPretrained(**bert, folder, {.seed = 7});
  ASSERT_THAT(want, IsOk());
  auto got = LoadPretrained(
      **bert, folder,
      {.device_map = "disk", .offload_folder = offload, .seed = 7});
  ASSERT_THAT(got, IsOk());
  EXPECT_TRUE(fs::exists(offload + "/pooler.dense.weight.dat"));
  ExpectSameOutputs(**got, **want,
                    {{"input_ids", at::arange(6).reshape({2, 3})}});
}

struct Refused {
  FromPretrainedOptions options;
  absl::StatusCode code;
  const char* message;
};

TEST(FromPretrainedDeviceMapTest, RefusesBeforeAnythingIsReadOrWritten) {
  const std::string parent = MakeTestFolder("refused offload");
  const std::string file =
      checkpoint_testing::WriteTestFile("offload is a file", "x");
  const Refused cases[] = {
      {{.device_map = "cuda:7"},
       absl::StatusCode::kInvalidArgument,
       "devices here: "},
      {{.device_map = R"({"transformer": "cpu", "lm_hed": "cpu"})"},
       absl::StatusCode::kInvalidArgument,
       "did you mean 'lm_head'"},
      {{.device_map = R"({"transformer.h": "cpu", "lm_head": "cpu"})"},
       absl::StatusCode::kInvalidArgument,
       "transformer.wpe.weight"},
      {{.device_map = "auto", .max_memory = {{"cpu", "10"}}},
       absl::StatusCode::kResourceExhausted,
       "needs"},
      {{.torch_dtype = "float16", .device_map = "disk"},
       absl::StatusCode::kInvalidArgument,
       "provide an offload_folder"},
      {{.torch_dtype = "float16", .device_map = "disk", .offload_folder = file},
       absl::StatusCode::kInvalidArgument,
       "offload is a file"},
  };
  for (const Refused& refused : cases) {
    EXPECT_THAT(Load(kGpt2, refused.options),
                StatusIs(refused.code, HasSubstr(refused.message)));
  }
  EXPECT_TRUE(fs::is_empty(parent));
  EXPECT_EQ(ReadTestFile(file), "x");
}

}  // namespace
}  // namespace pretrained
