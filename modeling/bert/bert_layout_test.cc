#include "modeling/bert/bert_layout.h"

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
using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

constexpr char kFolder[] = "testdata/bert/";

// Every folder that has facts of the peer.
std::vector<std::string> ModelFolders() {
  std::vector<std::string> folders;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    if (std::filesystem::exists(entry.path() / "facts.json")) {
      folders.push_back(entry.path().string());
    }
  }
  EXPECT_GE(folders.size(), 9u);
  return folders;
}

absl::StatusOr<ModelLayout> LayoutOf(
    const PretrainedConfig& config, const Json& model_kwargs = Json::object()) {
  return BertModelLayoutClass().build(config, model_kwargs);
}

absl::StatusOr<ModelLayout> LayoutOf(const std::string& folder) {
  absl::StatusOr<PretrainedConfig> config =
      PretrainedConfig::FromPretrained(folder, BertConfigClass());
  if (!config.ok()) return config.status();
  return LayoutOf(*config);
}

Json ShapesOf(const ModelLayout& layout) {
  Json state_dict = Json::object();
  for (const StateDictEntry& entry : StateDictOf(layout.tree.root)) {
    state_dict[entry.name] = entry.spec.shape;
  }
  return state_dict;
}

// Name to shape, of an object of {"shape": .., ..}.
Json ShapesIn(const Json& facts) {
  Json shapes = Json::object();
  for (const auto& [name, fact] : facts.items()) shapes[name] = fact["shape"];
  return shapes;
}

TEST(BertLayoutTest, HasTheModulesOfThePeerInItsOrder) {
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

TEST(BertLayoutTest, HasTheTensorsOfThePeerInItsOrder) {
  for (const std::string& folder : ModelFolders()) {
    SCOPED_TRACE(folder);
    const Json facts = ReadJsonFile(folder + "/facts.json");
    absl::StatusOr<ModelLayout> layout = LayoutOf(folder);
    ASSERT_THAT(layout, IsOk());
    EXPECT_EQ(ShapesOf(*layout).dump(1), ShapesIn(facts["state_dict"]).dump(1));
    Json parameters = Json::array();
    ForEachParameter(layout->tree.root,
                     [&](const std::string& name, const TensorSpec& spec,
                         const ModuleNode&) { parameters.push_back(name); });
    EXPECT_EQ(parameters.dump(1), facts["parameters"].dump(1));
    Json buffers = Json::object();
    ForEachBuffer(layout->tree.root, [&](const std::string& name,
                                         const TensorSpec& spec,
                                         const ModuleNode&) {
      buffers[name] = {{"shape", spec.shape}, {"dtype", DtypeName(spec.dtype)}};
    });
    EXPECT_EQ(buffers.dump(1), facts["buffers"].dump(1));
  }
}

TEST(BertLayoutTest, CountsAsThePeerDoes) {
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
    const Json& footprint = facts["memory_footprint"];
    EXPECT_EQ(MemoryFootprintBytes(tensors, true),
              footprint["return_buffers=True"].get<int64_t>());
    EXPECT_EQ(MemoryFootprintBytes(tensors, false),
              footprint["return_buffers=False"].get<int64_t>());
    const int64_t tokens = facts["estimate_tokens"].get<int64_t>();
    const Json& operations = facts["floating_point_ops"];
    EXPECT_EQ(FloatingPointOps(tensors, tokens, true),
              operations["exclude_embeddings=True"].get<int64_t>());
    EXPECT_EQ(FloatingPointOps(tensors, tokens, false),
              operations["exclude_embeddings=False"].get<int64_t>());
  }
}

TEST(BertLayoutTest, HasTheClassAttributesOfThePeer) {
  const Json facts = ReadJsonFile(absl::StrCat(kFolder, "base/facts.json"));
  absl::StatusOr<ModelLayout> layout = LayoutOf(absl::StrCat(kFolder, "base"));
  ASSERT_THAT(layout, IsOk());
  EXPECT_EQ(layout->class_name, facts["class"]);
  EXPECT_EQ(layout->base_model_prefix, facts["base_model_prefix"]);
  EXPECT_EQ(layout->main_input_name, facts["main_input_name"]);
  EXPECT_EQ(layout->can_generate, facts["can_generate"].get<bool>());
  EXPECT_TRUE(facts["_no_split_modules"].is_null());
  EXPECT_TRUE(layout->no_split_modules.empty());
  EXPECT_TRUE(facts["_tied_weights_keys"].is_null());
  EXPECT_TRUE(layout->tied_weights_keys.empty());
  EXPECT_EQ(Json(layout->tree.tied), facts["tied_parameters"]);
}

TEST(BertLayoutTest, PrunedHeadsShrinkTheirLayersSelfAttentionOnly) {
  absl::StatusOr<PretrainedConfig> config = PretrainedConfig::FromPretrained(
      absl::StrCat(kFolder, "cross"), BertConfigClass());
  ASSERT_THAT(config, IsOk());
  absl::StatusOr<ModelLayout> whole = LayoutOf(*config);
  config->Set("pruned_heads", {{"1", {0, 2}}});
  absl::StatusOr<ModelLayout> pruned = LayoutOf(*config);
  ASSERT_THAT(whole, IsOk());
  ASSERT_THAT(pruned, IsOk());
  const Json before = ShapesOf(*whole);
  const Json after = ShapesOf(*pruned);
  ASSERT_EQ(before.size(), after.size());
  // 32 rows are four heads of eight; two are left.
  const std::string self = "encoder.layer.1.attention.self.";
  for (const auto& [name, shape] : after.items()) {
    if (name.find(self) == 0 && name.find(".weight") != std::string::npos) {
      EXPECT_EQ(shape.dump(), "[16,32]") << name;
    } else if (name.find(self) == 0) {
      EXPECT_EQ(shape.dump(), "[16]") << name;
    } else if (name == "encoder.layer.1.attention.output.dense.weight") {
      EXPECT_EQ(shape.dump(), "[32,16]") << name;
    } else {
      EXPECT_EQ(shape, before[name]) << name;
    }
  }
}

TEST(BertLayoutTest, TheConstructorTakesAPoolerOrNot) {
  const PretrainedConfig config(BertConfigClass());
  const Json with = ShapesOf(*LayoutOf(config));
  const Json without =
      ShapesOf(*LayoutOf(config, {{"add_pooling_layer", false}}));
  EXPECT_TRUE(with.contains("pooler.dense.weight"));
  EXPECT_FALSE(without.contains("pooler.dense.weight"));
  EXPECT_EQ(with.size() - 2, without.size());
  for (const Json& bad :
       {Json{{"num_labels", 3}}, Json{{"add_pooling_layer", 1}},
        Json{{"add_pooling_layer", nullptr}}}) {
    EXPECT_THAT(LayoutOf(config, bad),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr(absl::StrCat("BertModel has no argument ",
                                                bad.begin().key()))))
        << bad;
  }
}

TEST(BertLayoutTest, AConfigThatMakesNoModelMakesNoLayout) {
  PretrainedConfig config(BertConfigClass());
  config.Set("num_attention_heads", 5);
  EXPECT_THAT(LayoutOf(config), StatusIs(absl::StatusCode::kInvalidArgument,
                                         HasSubstr("5 attention heads")));
}

TEST(BertLayoutTest, LinkingItRegistersIt) {
  EXPECT_THAT(FindLayout("BertModel"), IsOkAndHolds(&BertModelLayoutClass()));
  EXPECT_THAT(FindConfigClass("bert"), IsOkAndHolds(&BertConfigClass()));
}

}  // namespace
}  // namespace pretrained
