#include "modeling/llama/llama_layout.h"

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "device_map/module_tree.h"
#include "dtypes/dtype.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/flops.h"
#include "modeling/json_testutil.h"
#include "modeling/llama/llama_config.h"
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

constexpr char kModelFolder[] = "testdata/models/LlamaForCausalLM";

// A model folder, what to change in its config, and what the peer says of it.
struct Case {
  std::string folder;
  Json config = Json::object();
  Json facts;
};

std::vector<Case> Cases() {
  std::vector<Case> cases;
  cases.push_back(
      {.folder = kModelFolder,
       .facts = ReadJsonFile(absl::StrCat(kModelFolder, "/facts.json"))});
  for (const Json& facts : ReadJsonFile("testdata/llama/facts.json")) {
    cases.push_back({.folder = absl::StrCat("testdata/llama/",
                                            facts["model"].get<std::string>()),
                     .config = facts["config"],
                     .facts = facts});
  }
  EXPECT_GE(cases.size(), 9u);
  return cases;
}

absl::StatusOr<ModelLayout> LayoutOf(const Case& golden) {
  absl::StatusOr<PretrainedConfig> config =
      PretrainedConfig::FromPretrained(golden.folder, LlamaConfigClass());
  if (!config.ok()) return config.status();
  for (const auto& [name, value] : golden.config.items()) {
    config->Set(name, value);
  }
  absl::StatusOr<const LayoutClass*> layout_class =
      FindLayout(golden.facts["class"].get<std::string>());
  if (!layout_class.ok()) return layout_class.status();
  return (*layout_class)->build(*config, Json::object());
}

TEST(LlamaLayoutTest, HasTheModulesOfThePeerInItsOrder) {
  for (const Case& golden : Cases()) {
    SCOPED_TRACE(golden.folder + golden.config.dump());
    absl::StatusOr<ModelLayout> layout = LayoutOf(golden);
    ASSERT_THAT(layout, IsOk());
    Json modules = Json::object();
    ForEachModule(layout->tree.root,
                  [&](const std::string& path, const ModuleNode& node) {
                    modules[path] = node.class_name;
                  });
    EXPECT_EQ(modules.dump(1), golden.facts["modules"].dump(1));
  }
}

TEST(LlamaLayoutTest, HasTheTensorsOfThePeerInItsOrder) {
  for (const Case& golden : Cases()) {
    SCOPED_TRACE(golden.folder + golden.config.dump());
    absl::StatusOr<ModelLayout> layout = LayoutOf(golden);
    ASSERT_THAT(layout, IsOk());
    Json state_dict = Json::object();
    for (const StateDictEntry& entry : StateDictOf(layout->tree.root)) {
      state_dict[entry.name] = {{"shape", entry.spec.shape},
                                {"dtype", DtypeName(entry.spec.dtype)}};
    }
    EXPECT_EQ(state_dict.dump(1), golden.facts["state_dict"].dump(1));
    Json buffers = Json::object();
    ForEachBuffer(layout->tree.root, [&](const std::string& name,
                                         const TensorSpec& spec,
                                         const ModuleNode&) {
      EXPECT_FALSE(spec.persistent) << name;
      buffers[name] = {{"shape", spec.shape}, {"dtype", DtypeName(spec.dtype)}};
    });
    EXPECT_EQ(buffers.dump(1), golden.facts["buffers"].dump(1));
  }
}

TEST(LlamaLayoutTest, CountsAsThePeerDoes) {
  for (const Case& golden : Cases()) {
    SCOPED_TRACE(golden.folder + golden.config.dump());
    absl::StatusOr<ModelLayout> layout = LayoutOf(golden);
    ASSERT_THAT(layout, IsOk());
    const std::vector<CountedTensor> tensors = CountedTensorsOf(layout->tree);
    for (const auto& [key, count] : golden.facts["num_parameters"].items()) {
      const CountOptions options = {
          .only_trainable = key.find("only_trainable=True") == 0,
          .exclude_embeddings =
              key.find("exclude_embeddings=True") != std::string::npos};
      EXPECT_EQ(CountParameters(tensors, options), count.get<int64_t>()) << key;
    }
    const Json& footprint = golden.facts["memory_footprint"];
    EXPECT_EQ(MemoryFootprintBytes(tensors, true),
              footprint["return_buffers=True"].get<int64_t>());
    EXPECT_EQ(MemoryFootprintBytes(tensors, false),
              footprint["return_buffers=False"].get<int64_t>());
    const int64_t tokens = golden.facts["estimate_tokens"].get<int64_t>();
    const Json& operations = golden.facts["floating_point_ops"];
    EXPECT_EQ(FloatingPointOps(tensors, tokens, true),
              operations["exclude_embeddings=True"].get<int64_t>());
    EXPECT_EQ(FloatingPointOps(tensors, tokens, false),
              operations["exclude_embeddings=False"].get<int64_t>());
  }
}

// The peer's null is our empty list.
void ExpectList(const std::vector<std::string>& got, const Json& want) {
  EXPECT_EQ(Json(got), want.is_null() ? Json::array() : want);
}

TEST(LlamaLayoutTest, HasTheClassAttributesOfThePeer) {
  for (const Case& golden : Cases()) {
    SCOPED_TRACE(golden.folder + golden.config.dump());
    absl::StatusOr<ModelLayout> layout = LayoutOf(golden);
    ASSERT_THAT(layout, IsOk());
    const Json& facts = golden.facts;
    EXPECT_EQ(layout->class_name, facts["class"]);
    EXPECT_EQ(layout->base_model_prefix, facts["base_model_prefix"]);
    EXPECT_EQ(layout->main_input_name, facts["main_input_name"]);
    EXPECT_EQ(layout->can_generate, facts["can_generate"].get<bool>());
    ExpectList(layout->no_split_modules, facts["_no_split_modules"]);
    ExpectList(layout->tied_weights_keys, facts["_tied_weights_keys"]);
    ExpectList(layout->keep_in_fp32_modules, facts["_keep_in_fp32_modules"]);
    ExpectList(layout->keys_to_ignore_on_load_missing,
               facts["_keys_to_ignore_on_load_missing"]);
    ExpectList(layout->keys_to_ignore_on_load_unexpected,
               facts["_keys_to_ignore_on_load_unexpected"]);
    ExpectList(layout->keys_to_ignore_on_save,
               facts["_keys_to_ignore_on_save"]);
    EXPECT_EQ(Json(layout->tree.tied), facts["tied_parameters"]);
  }
}

TEST(LlamaLayoutTest, TheConfigSaysHowManyLabelsThereAre) {
  PretrainedConfig config(LlamaConfigClass());
  config.Set("num_hidden_layers", 0);
  config.Set("num_labels", 5);
  absl::StatusOr<ModelLayout> layout =
      LlamaForSequenceClassificationLayoutClass().build(config, Json::object());
  ASSERT_THAT(layout, IsOk());
  EXPECT_EQ(Json(layout->tree.root.child("score").parameters[0].shape).dump(),
            "[5,4096]");
}

TEST(LlamaLayoutTest, AConfigThatMakesNoModelMakesNoLayout) {
  PretrainedConfig config(LlamaConfigClass());
  config.Set("num_attention_heads", 5);
  for (const LayoutClass* layout_class :
       {&LlamaModelLayoutClass(), &LlamaForCausalLMLayoutClass(),
        &LlamaForSequenceClassificationLayoutClass()}) {
    EXPECT_THAT(layout_class->build(config, Json::object()),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("5 attention heads")));
  }
}

TEST(LlamaLayoutTest, LinkingItRegistersIt) {
  EXPECT_THAT(FindLayout("LlamaModel"), IsOkAndHolds(&LlamaModelLayoutClass()));
  EXPECT_THAT(FindLayout("LlamaForCausalLM"),
              IsOkAndHolds(&LlamaForCausalLMLayoutClass()));
  EXPECT_THAT(FindLayout("LlamaForSequenceClassification"),
              IsOkAndHolds(&LlamaForSequenceClassificationLayoutClass()));
  EXPECT_THAT(FindConfigClass("llama"), IsOkAndHolds(&LlamaConfigClass()));
}

}  // namespace
}  // namespace pretrained
