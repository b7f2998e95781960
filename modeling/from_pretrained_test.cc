#include "modeling/from_pretrained.h"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "c10/core/InferenceMode.h"
#include "checkpoint/safetensors_testutil.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/bert/bert_model.h"
#include "modeling/json_testutil.h"
#include "modeling/loading_info.h"
#include "modeling/tensor_file.h"
#include "modeling/tensor_testutil.h"
#include "nlohmann/json.hpp"
#include "torch/optim/sgd.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::IsOkAndHolds;
using ::absl_testing::StatusIs;
using checkpoint_testing::MakeTestFolder;
using checkpoint_testing::ReadTestFile;
using checkpoint_testing::WriteTestFile;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Json = nlohmann::ordered_json;

constexpr char kBase[] = "testdata/bert/base";
constexpr char kWeights[] = "/model.safetensors";

using Fields = std::vector<std::pair<std::string, at::Tensor>>;

// A folder with the config of `source`, its attributes replaced by `changes`.
std::string FolderWithConfig(const std::string& name, const std::string& source,
                             const Json& changes = Json::object()) {
  const std::string folder = MakeTestFolder(name);
  Json config = ReadJsonFile(source + "/config.json");
  for (const auto& [key, value] : changes.items()) {
    if (value == "absent") {
      config.erase(key);
    } else {
      config[key] = value;
    }
  }
  WriteTestFile(name + "/config.json", config.dump());
  return folder;
}

// A copy of a model folder, to be changed.
std::string CopyFolder(const std::string& name, const std::string& source,
                       const Json& changes = Json::object()) {
  const std::string folder = FolderWithConfig(name, source, changes);
  WriteTestFile(name + kWeights, ReadTestFile(source + kWeights));
  return folder;
}

// The tensors of kBase under the names that `rename` gives them.
template <typename Rename>
std::string FolderWithRenamedTensors(const std::string& name, Rename rename) {
  const std::string folder = FolderWithConfig(name, kBase);
  Fields fields;
  for (const auto& [key, tensor] :
       ReadGolden(absl::StrCat(kBase, kWeights), "")) {
    fields.emplace_back(rename(key), tensor);
  }
  EXPECT_THAT(WriteTensorFile(folder + kWeights, fields), IsOk());
  return folder;
}

NamedTensors StateDictOfModel(BertModel& model) {
  NamedTensors state;
  for (const Module::NamedSlot& slot : model.TensorSlots()) {
    if (!slot.is_buffer) state.emplace(slot.name, slot.tensor.detach());
  }
  return state;
}

TEST(FromPretrainedTest, AMappedLoadCopiesNoWeight) {
  const std::string folder = CopyFolder("mapped", kBase);
  LoadingInfo info;
  auto model =
      BertModel::FromPretrained(folder, {.output_loading_info = &info});
  ASSERT_THAT(model, IsOk());
  int64_t bytes = 0;
  for (const auto& [name, tensor] : StateDictOfModel(**model)) {
    EXPECT_TRUE(IsMappedFrom(tensor, folder + kWeights)) << name;
    bytes += static_cast<int64_t>(tensor.nbytes());
  }
  EXPECT_EQ(info.engine, "mapped");
  EXPECT_EQ(info.bytes, bytes);
  EXPECT_THAT(info.files, ElementsAre(folder + kWeights));
  EXPECT_GT(info.seconds, 0);
}

TEST(FromPretrainedTest, WithoutMappingTheFileIsNotNeededAfterwards) {
  const std::string folder = CopyFolder("unmapped", kBase);
  LoadingInfo info;
  auto model = BertModel::FromPretrained(
      folder, {.use_mmap = false, .output_loading_info = &info});
  ASSERT_THAT(model, IsOk());
  EXPECT_EQ(info.engine, "buffered");
  std::filesystem::resize_file(folder + kWeights, 0);
  auto mapped = BertModel::FromPretrained(kBase);
  ASSERT_THAT(mapped, IsOk());
  const NamedTensors want = StateDictOfModel(**mapped);
  for (const auto& [name, tensor] : StateDictOfModel(**model)) {
    EXPECT_FALSE(IsMappedFrom(tensor, folder + kWeights));
    EXPECT_TRUE(at::equal(tensor, want.at(name))) << name;
  }
}

TEST(FromPretrainedTest, AnOptimizerStepChangesTheModelAndNotTheFile) {
  const std::string folder = CopyFolder("trained", kBase);
  const std::string before = ReadTestFile(folder + kWeights);
  auto model = BertModel::FromPretrained(folder);
  ASSERT_THAT(model, IsOk());
  NamedTensors old;
  for (const auto& [name, tensor] : StateDictOfModel(**model)) {
    old.emplace(name, tensor.clone());
  }
  torch::optim::SGD optimizer((*model)->parameters(),
                              torch::optim::SGDOptions(0.1));
  auto output = (*model)->Forward(
      {.input_ids = at::arange(1, 11, at::dtype(at::kLong)).reshape({2, 5})});
  ASSERT_THAT(output, IsOk());
  output->pooler_output.square().sum().backward();
  optimizer.step();
  for (const auto& [name, tensor] : StateDictOfModel(**model)) {
    EXPECT_TRUE(IsMappedFrom(tensor, folder + kWeights)) << name;
    // The key's bias drops out of the softmax; rounding is all it learns.
    if (name.find(".key.bias") == std::string::npos) {
      EXPECT_FALSE(at::equal(tensor, old.at(name))) << name;
    }
  }
  EXPECT_EQ(ReadTestFile(folder + kWeights), before);
}

TEST(FromPretrainedTest, AModelLoadedInInferenceModeCanBeTrained) {
  absl::StatusOr<std::shared_ptr<BertModel>> model;
  {
    c10::InferenceMode inference;
    model = BertModel::FromPretrained(kBase);
  }
  ASSERT_THAT(model, IsOk());
  for (const at::Tensor& parameter : (*model)->parameters()) {
    EXPECT_FALSE(parameter.is_inference());
    EXPECT_TRUE(parameter.requires_grad());
  }
}

struct DtypeCase {
  const char* what;
  const char* folder;
  Json config;
  const char* torch_dtype;
  at::ScalarType want;
  const char* engine;
};

TEST(FromPretrainedTest, TorchDtypeDecidesTheDtypeOfFloatingWeights) {
  const DtypeCase cases[] = {
      {"nothing said is float32", "float16", {}, "", at::kFloat, "buffered"},
      {"a name", "base", {}, "float16", at::kHalf, "buffered"},
      {"torch's name", "base", {}, "torch.bfloat16", at::kBFloat16, "buffered"},
      {"an alias", "base", {}, "double", at::kDouble, "buffered"},
      {"auto, as the config says", "float16", {}, "auto", at::kHalf, "mapped"},
      {"auto, the config before the weights",
       "base",
       {{"torch_dtype", "bfloat16"}},
       "auto",
       at::kBFloat16,
       "buffered"},
      {"auto, the weights where the config is silent",
       "bfloat16",
       {{"torch_dtype", "absent"}},
       "auto",
       at::kBFloat16,
       "mapped"},
      {"auto, the weights where the config says null",
       "float16",
       {{"torch_dtype", nullptr}},
       "auto",
       at::kHalf,
       "mapped"},
  };
  for (const DtypeCase& test : cases) {
    SCOPED_TRACE(test.what);
    const std::string folder = CopyFolder(
        "dtypes", absl::StrCat("testdata/bert/", test.folder), test.config);
    LoadingInfo info;
    auto model = BertModel::FromPretrained(
        folder,
        {.torch_dtype = test.torch_dtype, .output_loading_info = &info});
    ASSERT_THAT(model, IsOk());
    EXPECT_EQ((*model)->dtype(), test.want);
    EXPECT_EQ(info.engine, test.engine);
    const NamedTensors stored = ReadGolden(folder + kWeights, "");
    for (const auto& [name, tensor] : StateDictOfModel(**model)) {
      EXPECT_TRUE(at::equal(tensor, stored.at(name).to(test.want))) << name;
    }
  }
}

TEST(FromPretrainedTest, RefusesDtypesThatNoWeightsHave) {
  for (const char* torch_dtype : {"int64", "torch.bool", "complex64"}) {
    EXPECT_THAT(
        BertModel::FromPretrained(kBase, {.torch_dtype = torch_dtype}),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("floating")))
        << torch_dtype;
  }
  EXPECT_THAT(
      BertModel::FromPretrained(kBase, {.torch_dtype = "float33"}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("float33")));
  const std::string folder =
      CopyFolder("int-config", kBase, {{"torch_dtype", "int8"}});
  EXPECT_THAT(BertModel::FromPretrained(folder, {.torch_dtype = "auto"}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr(folder), HasSubstr("int8"))));
  EXPECT_THAT(BertModel::FromPretrained(folder), IsOk());
}

TEST(FromPretrainedTest, AMissingPoolerIsDrawnAndReported) {
  const std::string folder = FolderWithConfig("no-pooler", kBase);
  Fields fields;
  for (const auto& [name, tensor] :
       ReadGolden(absl::StrCat(kBase, kWeights), "")) {
    if (name.find("pooler") != 0) fields.emplace_back(name, tensor);
  }
  ASSERT_THAT(WriteTensorFile(folder + kWeights, fields), IsOk());
  LoadingInfo info;
  auto model =
      BertModel::FromPretrained(folder, {.output_loading_info = &info});
  ASSERT_THAT(model, IsOk());
  EXPECT_THAT(info.missing_keys,
              ElementsAre("pooler.dense.bias", "pooler.dense.weight"));
  const NamedTensors state = StateDictOfModel(**model);
  const at::Tensor& weight = state.at("pooler.dense.weight");
  EXPECT_TRUE(weight.is_cpu());
  EXPECT_NEAR(weight.std().item().toDouble(), 0.02, 0.004);
  EXPECT_TRUE(at::equal(state.at("pooler.dense.bias"), at::zeros({32})));
  EXPECT_THAT((*model)->Forward({.input_ids = at::ones({1, 2}, at::kLong)}),
              IsOk());
}

TEST(FromPretrainedTest, ReadsOldNamesPrefixesAndOldBuffers) {
  const auto with_prefix = [](const std::string& name) {
    return "bert." + name;
  };
  const auto with_legacy_names = [](std::string name) {
    for (const auto& [today, old] :
         {std::pair("LayerNorm.weight", "LayerNorm.gamma"),
          std::pair("LayerNorm.bias", "LayerNorm.beta")}) {
      const size_t at = name.find(today);
      if (at != std::string::npos) name = name.substr(0, at) + old;
    }
    return name;
  };
  const std::string folders[] = {
      FolderWithRenamedTensors("prefixed", with_prefix),
      FolderWithRenamedTensors("legacy", with_legacy_names)};
  for (const std::string& folder : folders) {
    SCOPED_TRACE(folder);
    Fields fields = {{"embeddings.position_ids", at::arange(40).unsqueeze(0)}};
    const NamedTensors stored = ReadGolden(folder + kWeights, "");
    fields.insert(fields.end(), stored.begin(), stored.end());
    if (stored.begin()->first.find("bert.") == 0) {
      fields[0].first = "bert." + fields[0].first;
    }
    ASSERT_THAT(WriteTensorFile(folder + kWeights, fields), IsOk());
    LoadingInfo info;
    auto model =
        BertModel::FromPretrained(folder, {.output_loading_info = &info});
    ASSERT_THAT(model, IsOk());
    EXPECT_THAT(info.missing_keys, IsEmpty());
    EXPECT_THAT(info.unexpected_keys, IsEmpty());
    const NamedTensors want = ReadGolden(absl::StrCat(kBase, kWeights), "");
    for (const auto& [name, tensor] : StateDictOfModel(**model)) {
      EXPECT_TRUE(at::equal(tensor, want.at(name))) << name;
    }
  }
}

TEST(FromPretrainedTest, OtherShapesAreAnErrorThatListsEach) {
  LoadingInfo info;
  FromPretrainedOptions options{
      .kwargs = {{"vocab_size", 121}, {"type_vocab_size", 3}},
      .output_loading_info = &info};
  EXPECT_THAT(
      BertModel::FromPretrained(kBase, options),
      StatusIs(
          absl::StatusCode::kInvalidArgument,
          AllOf(HasSubstr("model.safetensors: 2 tensors"),
                HasSubstr("'embeddings.word_embeddings.weight': [120, 32] in "
                          "the checkpoint, [121, 32] in the model"),
                HasSubstr("'embeddings.token_type_embeddings.weight': [2, 32]"),
                HasSubstr("ignore_mismatched_sizes"))));
  EXPECT_EQ(info.mismatched_keys.size(), 2u) << "reported all the same";
  EXPECT_EQ(info.error_msgs.size(), 1u);

  options.ignore_mismatched_sizes = true;
  auto model = BertModel::FromPretrained(kBase, options);
  ASSERT_THAT(model, IsOk());
  ASSERT_EQ(info.mismatched_keys.size(), 2u);
  EXPECT_EQ(info.mismatched_keys[0].name, "embeddings.word_embeddings.weight");
  EXPECT_THAT(info.error_msgs, IsEmpty());
  EXPECT_THAT(info.missing_keys, IsEmpty());
  const NamedTensors state = StateDictOfModel(**model);
  const at::Tensor& words = state.at("embeddings.word_embeddings.weight");
  EXPECT_EQ(words.sizes(), at::IntArrayRef({121, 32}));
  EXPECT_NEAR(words.std().item().toDouble(), 0.02, 0.002);
  EXPECT_THAT((*model)->Forward({.input_ids = at::full({1, 2}, 120)}), IsOk());
}

TEST(FromPretrainedTest, KwargsOverrideTheConfigOrAreTheConstructors) {
  auto model = BertModel::FromPretrained(
      kBase, {.kwargs = {{"output_attentions", true},
                         {"num_labels", 7},
                         {"add_pooling_layer", false}}});
  ASSERT_THAT(model, IsOk());
  EXPECT_THAT((*model)->config().GetBool("output_attentions"),
              IsOkAndHolds(true));
  EXPECT_EQ((*model)->config().num_labels(), 7);
  auto output = (*model)->Call({{"input_ids", at::ones({1, 2}, at::kLong)}});
  ASSERT_THAT(output, IsOk());
  EXPECT_NE(output->find("attentions.1"), nullptr);
  EXPECT_EQ(output->find("pooler_output"), nullptr);

  EXPECT_THAT(
      BertModel::FromPretrained(kBase, {.kwargs = {{"pooling_layer", true}}}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("pooling_layer")));
  EXPECT_THAT(
      BertModel::FromPretrained(kBase, {.kwargs = {{"hidden_act", "swoosh"}}}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("swoosh")));
}

TEST(FromPretrainedTest, TakesAConfigAndASingleFile) {
  PretrainedConfig config = *PretrainedConfig::FromPretrained(kBase);
  auto model = BertModel::FromPretrained(absl::StrCat(kBase, kWeights),
                                         {.config = config});
  ASSERT_THAT(model, IsOk());
  EXPECT_EQ((*model)->num_parameters(), 23392);
}

struct RefusedOption {
  const char* what;
  FromPretrainedOptions options;
  absl::StatusCode code;
  const char* message;
};

TEST(FromPretrainedTest, RefusesWhatThisVersionDoesNotDo) {
  const RefusedOption cases[] = {
      {"other files than safetensors, where there are none",
       {.use_safetensors = false},
       absl::StatusCode::kNotFound,
       "pytorch_model.bin"},
      {"other devices",
       {.device_map = "tpu:0"},
       absl::StatusCode::kInvalidArgument,
       "'tpu:0'"},
      {"an absent variant",
       {.variant = "fp16"},
       absl::StatusCode::kNotFound,
       "model.fp16.safetensors"},
      {"a variant that is a path",
       {.variant = "../x"},
       absl::StatusCode::kInvalidArgument,
       "../x"},
      {"quantised modules",
       {.config = PretrainedConfig::FromJsonString(
                      R"({"quantization_config": {"bits": 4}})", "q.json")
                      .value()},
       absl::StatusCode::kUnimplemented,
       "q.json: 'quantization_config'"},
  };
  for (const RefusedOption& test : cases) {
    SCOPED_TRACE(test.what);
    EXPECT_THAT(BertModel::FromPretrained(kBase, test.options),
                StatusIs(test.code, HasSubstr(test.message)));
  }
  for (const char* device_map : {"auto", "cpu", R"({"": "cpu"})"}) {
    auto model = BertModel::FromPretrained(
        kBase, {.use_safetensors = true, .device_map = device_map});
    ASSERT_THAT(model, IsOk());
    EXPECT_THAT((*model)->hf_device_map(),
                ElementsAre(::testing::Pair("", "cpu")));
  }
}

}  // namespace
}  // namespace pretrained
