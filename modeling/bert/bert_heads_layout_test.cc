#include "modeling/bert/bert_heads_layout.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "device_map/module_tree.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/bert/bert_config.h"
#include "modeling/flops.h"
#include "modeling/json_testutil.h"
#include "modeling/model_layout.h"
#include "modeling/parameter_counts.h"
#include "modeling/pretrained_config.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::IsOkAndHolds;
using ::absl_testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using Json = nlohmann::ordered_json;

// Every folder that has facts of one of the peer's classes with a head.
std::vector<std::string> ModelFolders() {
  std::vector<std::string> folders = {
      "testdata/models/BertForMaskedLM",
      "testdata/models/BertForSequenceClassification"};
  for (const auto& entry :
       std::filesystem::directory_iterator("testdata/bert_heads")) {
    if (std::filesystem::exists(entry.path() / "facts.json")) {
      folders.push_back(entry.path().string());
    }
  }
  EXPECT_GE(folders.size(), 15u);
  return folders;
}

absl::StatusOr<ModelLayout> LayoutOf(const std::string& class_name,
                                     const PretrainedConfig& config) {
  absl::StatusOr<const LayoutClass*> layout_class = FindLayout(class_name);
  if (!layout_class.ok()) return layout_class.status();
  return (*layout_class)->build(config, Json::object());
}

// The layout of the class that the folder's facts name.
absl::StatusOr<ModelLayout> LayoutOf(const std::string& folder) {
  absl::StatusOr<PretrainedConfig> config =
      PretrainedConfig::FromPretrained(folder, BertConfigClass());
  if (!config.ok()) return config.status();
  return LayoutOf(ReadJsonFile(folder + "/facts.json")["class"], *config);
}

// The peer's null is our empty list.
Json ListOf(const Json& fact) { return fact.is_null() ? Json::array() : fact; }

TEST(BertHeadsLayoutTest, HasTheModulesOfThePeerInItsOrder) {
  for (const std::string& folder : ModelFolders()) {
    SCOPED_TRACE(folder);
    absl::StatusOr<ModelLayout> layout = LayoutOf(folder);
    ASSERT_THAT(layout, IsOk());
    Json modules = Json::object();
    ForEachModule(layout->tree.root,
                  [&](const std::string& path, const ModuleNode& node) {
                    modules[path] = node.class_name;
                  });
    EXPECT_EQ(modules.dump(1),
              ReadJsonFile(folder + "/facts.json")["modules"].dump(1));
  }
}

TEST(BertHeadsLayoutTest, HasTheTensorsOfThePeerInItsOrder) {
  for (const std::string& folder : ModelFolders()) {
    SCOPED_TRACE(folder);
    const Json facts = ReadJsonFile(folder + "/facts.json");
    absl::StatusOr<ModelLayout> layout = LayoutOf(folder);
    ASSERT_THAT(layout, IsOk());
    Json state_dict = Json::object();
    for (const StateDictEntry& entry : StateDictOf(layout->tree.root)) {
      state_dict[entry.name] = {{"shape", entry.spec.shape},
                                {"dtype", DtypeName(entry.spec.dtype)}};
    }
    EXPECT_EQ(state_dict.dump(1), facts["state_dict"].dump(1));
    Json buffers = Json::object();
    ForEachBuffer(layout->tree.root, [&](const std::string& name,
                                         const TensorSpec& spec,
                                         const ModuleNode&) {
      buffers[name] = {{"shape", spec.shape}, {"dtype", DtypeName(spec.dtype)}};
    });
    EXPECT_EQ(buffers.dump(1), facts["buffers"].dump(1));
  }
}

TEST(BertHeadsLayoutTest, HasTheClassAttributesOfThePeer) {
  for (const std::string& folder : ModelFolders()) {
    SCOPED_TRACE(folder);
    const Json facts = ReadJsonFile(folder + "/facts.json");
    absl::StatusOr<ModelLayout> layout = LayoutOf(folder);
    ASSERT_THAT(layout, IsOk());
    EXPECT_EQ(layout->class_name, facts["class"]);
    EXPECT_EQ(layout->base_model_prefix, facts["base_model_prefix"]);
    EXPECT_EQ(layout->main_input_name, facts["main_input_name"]);
    EXPECT_EQ(layout->can_generate, facts["can_generate"].get<bool>());
    EXPECT_EQ(Json(layout->no_split_modules),
              ListOf(facts["_no_split_modules"]));
    EXPECT_EQ(Json(layout->tied_weights_keys),
              ListOf(facts["_tied_weights_keys"]));
    EXPECT_EQ(Json(layout->keep_in_fp32_modules),
              ListOf(facts["_keep_in_fp32_modules"]));
    EXPECT_EQ(Json(layout->keys_to_ignore_on_load_missing),
              ListOf(facts["_keys_to_ignore_on_load_missing"]));
    EXPECT_EQ(Json(layout->keys_to_ignore_on_load_unexpected),
              ListOf(facts["_keys_to_ignore_on_load_unexpected"]));
    EXPECT_EQ(Json(layout->keys_to_ignore_on_save),
              ListOf(facts["_keys_to_ignore_on_save"]));
    EXPECT_EQ(Json(layout->tree.tied), facts["tied_parameters"]);
  }
}

TEST(BertHeadsLayoutTest, CountsAsThePeerDoes) {
  for (const std::string& folder : ModelFolders()) {
    SCOPED_TRACE(folder);
    const Json facts = ReadJsonFile(folder + "/facts.json");
    absl::StatusOr<ModelLayout> layout = LayoutOf(folder);
    ASSERT_THAT(layout, IsOk());
    const std::vector<CountedTensor> tensors = CountedTensorsOf(layout->tree);
    for (const auto& [key, count] : facts["num_parameters"].items()) {
      const CountOptions options = {
          .only_trainable = key.find("only_trainable=True") == 0,
          .exclude_embeddings =
              key.find("exclude_embeddings=True") != std::string::npos};
      EXPECT_EQ(CountParameters(tensors, options), count.get<int64_t>()) << key;
    }
    for (const bool buffers : {false, true}) {
      const std::string key =
          absl::StrCat("return_buffers=", buffers ? "True" : "False");
      EXPECT_EQ(MemoryFootprintBytes(tensors, buffers),
                facts["memory_footprint"][key].get<int64_t>())
          << key;
    }
    const int64_t tokens = facts["estimate_tokens"].get<int64_t>();
    for (const bool no_embeddings : {false, true}) {
      const std::string key =
          absl::StrCat("exclude_embeddings=", no_embeddings ? "True" : "False");
      EXPECT_EQ(FloatingPointOps(tensors, tokens, no_embeddings),
                facts["floating_point_ops"][key].get<int64_t>())
          << key;
    }
  }
}

constexpr const char* kLanguageModels[] = {
    "BertForPreTraining", "BertLMHeadModel", "BertForMaskedLM"};

// TorchScript knows no ties: the matrix starts as a copy. The bias is the
// class's own affair.
TEST(BertHeadsLayoutTest, TiesAsTheConfigSays) {
  const std::string input = "bert.embeddings.word_embeddings.weight";
  const std::string output = "cls.predictions.decoder.weight";
  const auto bias =
      ElementsAre("cls.predictions.bias", "cls.predictions.decoder.bias");
  for (const char* name : kLanguageModels) {
    SCOPED_TRACE(name);
    PretrainedConfig config(BertConfigClass());
    absl::StatusOr<ModelLayout> layout = LayoutOf(name, config);
    ASSERT_THAT(layout, IsOk());
    EXPECT_THAT(layout->tree.tied,
                ElementsAre(ElementsAre(input, output), bias));

    config.Set("torchscript", true);
    layout = LayoutOf(name, config);
    ASSERT_THAT(layout, IsOk());
    EXPECT_THAT(layout->tree.tied, ElementsAre(bias));
    EXPECT_THAT(layout->cloned_weights, ElementsAre(Pair(input, output)));

    config.Set("tie_word_embeddings", false);
    layout = LayoutOf(name, config);
    ASSERT_THAT(layout, IsOk());
    EXPECT_THAT(layout->tree.tied, ElementsAre(bias));
    EXPECT_THAT(layout->cloned_weights, IsEmpty());
    EXPECT_THAT(layout->untied_weights, ElementsAre(output));
  }
}

TEST(BertHeadsLayoutTest, TakesNoArgumentsButTheConfig) {
  const PretrainedConfig config(BertConfigClass());
  for (const LayoutClass* layout_class :
       {&BertForMaskedLMLayoutClass(),
        &BertForQuestionAnsweringLayoutClass()}) {
    EXPECT_THAT(layout_class->build(config, {{"add_pooling_layer", false}}),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("has no argument add_pooling_layer=false")));
  }
}

TEST(BertHeadsLayoutTest, AConfigThatMakesNoModelMakesNoLayout) {
  PretrainedConfig config(BertConfigClass());
  config.Set("num_attention_heads", 5);
  EXPECT_THAT(LayoutOf("BertForTokenClassification", config),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("5 attention heads")));
  config.Set("num_attention_heads", 4);
  config.Set("tie_word_embeddings", "yes");
  EXPECT_THAT(LayoutOf("BertForMaskedLM", config),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("tie_word_embeddings")));
}

TEST(BertHeadsLayoutTest, LinkingItRegistersEveryClass) {
  for (const LayoutClass* layout_class :
       {&BertForPreTrainingLayoutClass(), &BertLMHeadModelLayoutClass(),
        &BertForMaskedLMLayoutClass(),
        &BertForNextSentencePredictionLayoutClass(),
        &BertForSequenceClassificationLayoutClass(),
        &BertForMultipleChoiceLayoutClass(),
        &BertForTokenClassificationLayoutClass(),
        &BertForQuestionAnsweringLayoutClass()}) {
    EXPECT_THAT(FindLayout(layout_class->class_name),
                IsOkAndHolds(layout_class));
  }
  EXPECT_THAT(FindLayout("BertModel"), IsOk());
}

}  // namespace
}  // namespace pretrained
