#include "modeling/gpt2/gpt2_layout.h"

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "device_map/module_tree.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/flops.h"
#include "modeling/gpt2/gpt2_config.h"
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
using Json = nlohmann::ordered_json;

constexpr char kFixture[] = "testdata/models/GPT2LMHeadModel";

// A model folder and the facts that the peer states of it in one class.
struct Golden {
  std::string folder;
  Json facts;
};

std::vector<Golden> Goldens() {
  std::vector<Golden> goldens;
  goldens.push_back(
      {kFixture, ReadJsonFile(absl::StrCat(kFixture, "/facts.json"))});
  for (const char* name : {"base", "cross", "untied", "one_label"}) {
    for (const char* class_name :
         {"GPT2Model", "GPT2LMHeadModel", "GPT2ForSequenceClassification"}) {
      const std::string folder = absl::StrCat("testdata/gpt2/", name);
      goldens.push_back({folder, ReadJsonFile(absl::StrCat(
                                     folder, "/facts_", class_name, ".json"))});
    }
  }
  return goldens;
}

absl::StatusOr<ModelLayout> LayoutOf(const std::string& class_name,
                                     const PretrainedConfig& config) {
  absl::StatusOr<const LayoutClass*> found = FindLayout(class_name);
  if (!found.ok()) return found.status();
  return (*found)->build(config, Json::object());
}

absl::StatusOr<ModelLayout> LayoutOf(const Golden& golden) {
  absl::StatusOr<PretrainedConfig> config =
      PretrainedConfig::FromPretrained(golden.folder, GPT2ConfigClass());
  if (!config.ok()) return config.status();
  return LayoutOf(golden.facts["class"], *config);
}

// Names the golden that a test fails on.
std::string NameOf(const Golden& golden) {
  return absl::StrCat(golden.folder, " as ",
                      golden.facts["class"].get<std::string>());
}

// The peer's lists are null where they are empty.
std::vector<std::string> ListIn(const Json& facts, const char* name) {
  if (facts[name].is_null()) return {};
  return facts[name].get<std::vector<std::string>>();
}

TEST(GPT2LayoutTest, HasTheModulesOfThePeerInItsOrder) {
  for (const Golden& golden : Goldens()) {
    SCOPED_TRACE(NameOf(golden));
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

TEST(GPT2LayoutTest, HasTheTensorsOfThePeerInItsOrder) {
  for (const Golden& golden : Goldens()) {
    SCOPED_TRACE(NameOf(golden));
    absl::StatusOr<ModelLayout> layout = LayoutOf(golden);
    ASSERT_THAT(layout, IsOk());
    const auto describe = [](const TensorSpec& spec) {
      return Json{{"shape", spec.shape}, {"dtype", DtypeName(spec.dtype)}};
    };
    Json state_dict = Json::object();
    for (const StateDictEntry& entry : StateDictOf(layout->tree.root)) {
      state_dict[entry.name] = describe(entry.spec);
    }
    EXPECT_EQ(state_dict.dump(1), golden.facts["state_dict"].dump(1));
    Json buffers = Json::object();
    ForEachBuffer(layout->tree.root,
                  [&](const std::string& name, const TensorSpec& spec,
                      const ModuleNode&) { buffers[name] = describe(spec); });
    EXPECT_EQ(buffers.dump(1), golden.facts["buffers"].dump(1));
  }
}

TEST(GPT2LayoutTest, CountsAsThePeerDoes) {
  for (const Golden& golden : Goldens()) {
    SCOPED_TRACE(NameOf(golden));
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

TEST(GPT2LayoutTest, HasTheClassAttributesOfThePeer) {
  for (const Golden& golden : Goldens()) {
    SCOPED_TRACE(NameOf(golden));
    absl::StatusOr<ModelLayout> layout = LayoutOf(golden);
    ASSERT_THAT(layout, IsOk());
    EXPECT_EQ(layout->class_name, golden.facts["class"]);
    EXPECT_EQ(layout->base_model_prefix, golden.facts["base_model_prefix"]);
    EXPECT_EQ(layout->main_input_name, golden.facts["main_input_name"]);
    EXPECT_EQ(layout->can_generate, golden.facts["can_generate"].get<bool>());
    EXPECT_EQ(layout->no_split_modules,
              ListIn(golden.facts, "_no_split_modules"));
    EXPECT_EQ(layout->tied_weights_keys,
              ListIn(golden.facts, "_tied_weights_keys"));
    EXPECT_THAT(layout->keys_to_ignore_on_load_missing, IsEmpty());
    EXPECT_THAT(layout->keys_to_ignore_on_load_unexpected, IsEmpty());
    EXPECT_THAT(layout->keep_in_fp32_modules, IsEmpty());
    EXPECT_EQ(layout->tree.tied.size(), golden.facts["tied_parameters"].size());
  }
}

TEST(GPT2LayoutTest, TheHeadIsTiedUnlessTheConfigSaysOtherwise) {
  PretrainedConfig config(GPT2ConfigClass());
  config.Set("n_layer", 1);
  absl::StatusOr<ModelLayout> layout = LayoutOf("GPT2LMHeadModel", config);
  ASSERT_THAT(layout, IsOk());
  EXPECT_THAT(
      layout->tree.tied,
      ElementsAre(ElementsAre("transformer.wte.weight", "lm_head.weight")));
  config.Set("tie_word_embeddings", false);
  layout = LayoutOf("GPT2LMHeadModel", config);
  ASSERT_THAT(layout, IsOk());
  EXPECT_THAT(layout->tree.tied, IsEmpty());
  EXPECT_THAT(layout->untied_weights, ElementsAre("lm_head.weight"));
}

TEST(GPT2LayoutTest, TheBaseModelsLayoutIsThatOfItsOwnClass) {
  const PretrainedConfig config(GPT2ConfigClass());
  absl::StatusOr<ModelLayout> base = LayoutOf("GPT2Model", config);
  absl::StatusOr<ModelLayout> head = LayoutOf("GPT2LMHeadModel", config);
  ASSERT_THAT(base, IsOk());
  ASSERT_THAT(head, IsOk());
  const ModelLayout inside = SubmodelLayout(*head, "transformer");
  EXPECT_EQ(inside.class_name, "GPT2Model");
  EXPECT_EQ(StateDictOf(inside.tree.root).size(),
            StateDictOf(base->tree.root).size());
  EXPECT_THAT(inside.tree.tied, IsEmpty());
}

TEST(GPT2LayoutTest, AConfigOrArgumentThatMakesNoModelMakesNoLayout) {
  PretrainedConfig config(GPT2ConfigClass());
  EXPECT_THAT(
      GPT2ModelLayoutClass().build(config, {{"add_pooling_layer", true}}),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("GPT2Model has no argument add_pooling_layer")));
  config.Set("n_head", 5);
  EXPECT_THAT(LayoutOf("GPT2Model", config),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("5 attention heads")));
}

TEST(GPT2LayoutTest, LinkingItRegistersItsClasses) {
  EXPECT_THAT(FindLayout("GPT2Model"), IsOkAndHolds(&GPT2ModelLayoutClass()));
  EXPECT_THAT(FindLayout("GPT2LMHeadModel"),
              IsOkAndHolds(&GPT2LMHeadModelLayoutClass()));
  EXPECT_THAT(FindLayout("GPT2ForSequenceClassification"),
              IsOkAndHolds(&GPT2ForSequenceClassificationLayoutClass()));
  EXPECT_THAT(FindConfigClass("gpt2"), IsOkAndHolds(&GPT2ConfigClass()));
}

}  // namespace
}  // namespace pretrained
