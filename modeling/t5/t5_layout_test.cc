#include "modeling/t5/t5_layout.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "device_map/module_tree.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/flops.h"
#include "modeling/json_testutil.h"
#include "modeling/model_layout.h"
#include "modeling/parameter_counts.h"
#include "modeling/pretrained_config.h"
#include "modeling/t5/t5_config.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::IsOkAndHolds;
using ::absl_testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

// Every file of facts, and the folder with the config that they are of.
std::vector<std::string> FactsFiles() {
  std::vector<std::string> files = {
      "testdata/models/T5ForConditionalGeneration/facts.json",
      "testdata/models/T5ForConditionalGeneration-v1_1/facts.json"};
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator("testdata/t5")) {
    if (absl::StartsWith(entry.path().filename().string(), "facts-")) {
      files.push_back(entry.path().string());
    }
  }
  EXPECT_GE(files.size(), 16u);
  return files;
}

absl::StatusOr<ModelLayout> LayoutOf(absl::string_view class_name,
                                     const PretrainedConfig& config) {
  absl::StatusOr<const LayoutClass*> found = FindLayout(class_name);
  if (!found.ok()) return found.status();
  return (*found)->build(config, Json::object());
}

absl::StatusOr<ModelLayout> LayoutOf(const std::string& facts_file,
                                     const Json& facts) {
  absl::StatusOr<PretrainedConfig> config = PretrainedConfig::FromPretrained(
      std::filesystem::path(facts_file).parent_path().string(),
      T5ConfigClass());
  if (!config.ok()) return config.status();
  return LayoutOf(facts["class"].get<std::string>(), *config);
}

// The modules that are `shared` under another name, which the peer lists once.
bool IsSharedEmbedding(const std::string& path) {
  return absl::EndsWith(path, "coder.embed_tokens");
}

TEST(T5LayoutTest, HasTheModulesOfThePeerInItsOrder) {
  for (const std::string& file : FactsFiles()) {
    SCOPED_TRACE(file);
    const Json facts = ReadJsonFile(file);
    absl::StatusOr<ModelLayout> layout = LayoutOf(file, facts);
    ASSERT_THAT(layout, IsOk());
    Json modules = Json::object();
    ForEachModule(layout->tree.root,
                  [&](const std::string& path, const ModuleNode& node) {
                    if (IsSharedEmbedding(path)) return;
                    modules[path] = node.class_name;
                  });
    EXPECT_EQ(modules.dump(1), facts["modules"].dump(1));
  }
}

TEST(T5LayoutTest, HasTheTensorsOfThePeerInItsOrder) {
  for (const std::string& file : FactsFiles()) {
    SCOPED_TRACE(file);
    const Json facts = ReadJsonFile(file);
    absl::StatusOr<ModelLayout> layout = LayoutOf(file, facts);
    ASSERT_THAT(layout, IsOk());
    Json got = Json::object();
    for (const StateDictEntry& entry : StateDictOf(layout->tree.root)) {
      got[entry.name] = entry.spec.shape;
    }
    Json want = Json::object();
    for (const auto& [name, fact] : facts["state_dict"].items()) {
      want[name] = fact["shape"];
    }
    EXPECT_EQ(got.dump(1), want.dump(1));

    // The peer lists a tied parameter by its first name.
    std::set<std::string> aliases;
    for (const std::vector<std::string>& group : layout->tree.tied) {
      aliases.insert(group.begin() + 1, group.end());
    }
    Json parameters = Json::array();
    ForEachParameter(
        layout->tree.root,
        [&](const std::string& name, const TensorSpec&, const ModuleNode&) {
          if (!aliases.contains(name)) parameters.push_back(name);
        });
    EXPECT_EQ(parameters.dump(1), facts["parameters"].dump(1));
    EXPECT_TRUE(facts["buffers"].empty());
    ForEachBuffer(layout->tree.root,
                  [](const std::string& name, const TensorSpec&,
                     const ModuleNode&) { ADD_FAILURE() << name; });
  }
}

TEST(T5LayoutTest, TiesWhatThePeerTies) {
  std::set<size_t> sizes;
  for (const std::string& file : FactsFiles()) {
    SCOPED_TRACE(file);
    const Json facts = ReadJsonFile(file);
    absl::StatusOr<ModelLayout> layout = LayoutOf(file, facts);
    ASSERT_THAT(layout, IsOk());
    std::vector<std::vector<std::string>> tied = layout->tree.tied;
    for (std::vector<std::string>& group : tied) std::ranges::sort(group);
    std::ranges::sort(tied);
    EXPECT_EQ(Json(tied).dump(1), facts["tied_parameters"].dump(1));
    sizes.insert(tied.size());
  }
  EXPECT_GE(sizes.size(), 2u);  // With and without tie_encoder_decoder.
}

TEST(T5LayoutTest, CountsAsThePeerDoes) {
  for (const std::string& file : FactsFiles()) {
    SCOPED_TRACE(file);
    const Json facts = ReadJsonFile(file);
    absl::StatusOr<ModelLayout> layout = LayoutOf(file, facts);
    ASSERT_THAT(layout, IsOk());
    const std::vector<CountedTensor> tensors = CountedTensorsOf(layout->tree);
    for (const auto& [key, count] : facts["num_parameters"].items()) {
      const CountOptions options = {
          .only_trainable = absl::StrContains(key, "only_trainable=True"),
          .exclude_embeddings =
              absl::StrContains(key, "exclude_embeddings=True")};
      EXPECT_EQ(CountParameters(tensors, options), count.get<int64_t>()) << key;
    }
    EXPECT_EQ(MemoryFootprintBytes(tensors, true),
              facts["memory_footprint"]["return_buffers=True"].get<int64_t>());
    const int64_t tokens = facts["estimate_tokens"].get<int64_t>();
    const Json& operations = facts["floating_point_ops"];
    EXPECT_EQ(FloatingPointOps(tensors, tokens, true),
              operations["exclude_embeddings=True"].get<int64_t>());
    EXPECT_EQ(FloatingPointOps(tensors, tokens, false),
              operations["exclude_embeddings=False"].get<int64_t>());
  }
}

Json OrNull(const std::vector<std::string>& names) {
  return names.empty() ? Json() : Json(names);
}

TEST(T5LayoutTest, HasTheClassAttributesOfThePeer) {
  for (const std::string& file : FactsFiles()) {
    SCOPED_TRACE(file);
    const Json facts = ReadJsonFile(file);
    absl::StatusOr<ModelLayout> layout = LayoutOf(file, facts);
    ASSERT_THAT(layout, IsOk());
    EXPECT_EQ(layout->class_name, facts["class"]);
    EXPECT_EQ(layout->base_model_prefix, facts["base_model_prefix"]);
    EXPECT_EQ(layout->main_input_name, facts["main_input_name"]);
    EXPECT_EQ(layout->can_generate, facts["can_generate"].get<bool>());
    EXPECT_EQ(OrNull(layout->no_split_modules), facts["_no_split_modules"]);
    EXPECT_EQ(OrNull(layout->tied_weights_keys), facts["_tied_weights_keys"]);
    EXPECT_EQ(OrNull(layout->keep_in_fp32_modules),
              facts["_keep_in_fp32_modules"]);
    EXPECT_EQ(OrNull(layout->keys_to_ignore_on_load_missing),
              facts["_keys_to_ignore_on_load_missing"]);
    EXPECT_EQ(OrNull(layout->keys_to_ignore_on_load_unexpected),
              facts["_keys_to_ignore_on_load_unexpected"]);
    EXPECT_EQ(OrNull(layout->keys_to_ignore_on_save),
              facts["_keys_to_ignore_on_save"]);
  }
}

PretrainedConfig ConfigWith(const Json& attributes) {
  PretrainedConfig config(T5ConfigClass());
  config.Set("num_layers", 2);
  for (const auto& [name, value] : attributes.items()) config.Set(name, value);
  return config;
}

TEST(T5LayoutTest, TheHeadIsTiedClonedOrKeptApartAsTheConfigSays) {
  absl::StatusOr<ModelLayout> tied =
      LayoutOf("T5ForConditionalGeneration", ConfigWith({}));
  ASSERT_THAT(tied, IsOk());
  EXPECT_THAT(tied->tree.tied,
              ElementsAre(ElementsAre(
                  "shared.weight", "encoder.embed_tokens.weight",
                  "decoder.embed_tokens.weight", "lm_head.weight")));
  absl::StatusOr<ModelLayout> untied =
      LayoutOf("T5ForConditionalGeneration",
               ConfigWith({{"tie_word_embeddings", false}}));
  ASSERT_THAT(untied, IsOk());
  EXPECT_EQ(untied->tree.tied[0].size(), 3u);
  EXPECT_THAT(untied->untied_weights, ElementsAre("lm_head.weight"));
  // The embeddings of the stacks are one module, which nothing takes apart.
  absl::StatusOr<ModelLayout> cloned = LayoutOf(
      "T5ForConditionalGeneration", ConfigWith({{"torchscript", true}}));
  ASSERT_THAT(cloned, IsOk());
  EXPECT_EQ(cloned->tree.tied[0].size(), 3u);
  EXPECT_EQ(cloned->cloned_weights.size(), 1u);
}

TEST(T5LayoutTest, AnEncoderIsTiedToADecoderOfItsDepthAtMost) {
  const Json tie = {{"tie_encoder_decoder", true}};
  EXPECT_THAT(LayoutOf("T5Model", ConfigWith(tie)), IsOk());
  Json deeper = tie;
  deeper["num_decoder_layers"] = 3;
  EXPECT_THAT(LayoutOf("T5Model", ConfigWith(deeper)),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("the encoder's 2 layers are too few")));
  EXPECT_THAT(LayoutOf("T5EncoderModel", ConfigWith(tie)),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("T5EncoderModel has no decoder")));
  // A config that says it is of no such model ties nothing.
  Json not_both = tie;
  not_both["is_encoder_decoder"] = false;
  EXPECT_THAT(LayoutOf("T5EncoderModel", ConfigWith(not_both)), IsOk());
  absl::StatusOr<ModelLayout> layout =
      LayoutOf("T5Model", ConfigWith(not_both));
  ASSERT_THAT(layout, IsOk());
  EXPECT_EQ(layout->tree.tied.size(), 1u);
}

TEST(T5LayoutTest, AConfigOrArgumentThatMakesNoModelMakesNoLayout) {
  EXPECT_THAT(
      LayoutOf("T5Model", ConfigWith({{"d_kv", 0}})),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'d_kv' is 0")));
  EXPECT_THAT(T5ModelLayoutClass().build(ConfigWith({}), {{"x", 1}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("T5Model has no argument x=1")));
}

TEST(T5LayoutTest, LinkingItRegistersIt) {
  EXPECT_THAT(FindLayout("T5Model"), IsOkAndHolds(&T5ModelLayoutClass()));
  EXPECT_THAT(FindLayout("T5ForConditionalGeneration"),
              IsOkAndHolds(&T5ForConditionalGenerationLayoutClass()));
  EXPECT_THAT(FindLayout("T5EncoderModel"),
              IsOkAndHolds(&T5EncoderModelLayoutClass()));
  EXPECT_THAT(FindConfigClass("t5"), IsOkAndHolds(&T5ConfigClass()));
}

}  // namespace
}  // namespace pretrained
