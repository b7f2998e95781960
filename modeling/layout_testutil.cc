#include "modeling/layout_testutil.h"

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "device_map/module_tree.h"
#include "dtypes/dtype.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/flops.h"
#include "modeling/json_testutil.h"
#include "modeling/model_layout.h"
#include "modeling/parameter_counts.h"
#include "modeling/pretrained_config.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using Json = nlohmann::ordered_json;

Json Describe(const TensorSpec& spec) {
  return {{"shape", spec.shape}, {"dtype", DtypeName(spec.dtype)}};
}

// Groups of names whatever their order, which says nothing.
std::set<std::set<std::string>> Sorted(
    const std::vector<std::vector<std::string>>& groups) {
  std::set<std::set<std::string>> sorted;
  for (const auto& group : groups) sorted.insert({group.begin(), group.end()});
  return sorted;
}

void ExpectTree(const ModelLayout& layout, const Json& facts) {
  const ModuleNode& root = layout.tree.root;
  Json modules = Json::object();
  ForEachModule(root, [&](const std::string& path, const ModuleNode& node) {
    modules[path] = node.class_name;
  });
  EXPECT_EQ(modules.dump(1), facts["modules"].dump(1));
  Json state_dict = Json::object();
  for (const StateDictEntry& entry : StateDictOf(root)) {
    state_dict[entry.name] = Describe(entry.spec);
  }
  EXPECT_EQ(state_dict.dump(1), facts["state_dict"].dump(1));
  Json buffers = Json::object();
  ForEachBuffer(root,
                [&](const std::string& name, const TensorSpec& spec,
                    const ModuleNode&) { buffers[name] = Describe(spec); });
  EXPECT_EQ(buffers.dump(1), facts["buffers"].dump(1));
  EXPECT_EQ(Sorted(layout.tree.tied),
            Sorted(facts["tied_parameters"]
                       .get<std::vector<std::vector<std::string>>>()));
}

void ExpectCounts(const ModelLayout& layout, const Json& facts) {
  const std::vector<CountedTensor> tensors = CountedTensorsOf(layout.tree);
  for (const auto& [key, count] : facts["num_parameters"].items()) {
    const CountOptions options = {
        .only_trainable = absl::StrContains(key, "only_trainable=True"),
        .exclude_embeddings =
            absl::StrContains(key, "exclude_embeddings=True")};
    EXPECT_EQ(CountParameters(tensors, options), count.get<int64_t>()) << key;
  }
  const int64_t tokens = facts["estimate_tokens"].get<int64_t>();
  for (const bool flag : {true, false}) {
    const char* value = flag ? "True" : "False";
    EXPECT_EQ(MemoryFootprintBytes(tensors, flag),
              facts["memory_footprint"][absl::StrCat("return_buffers=", value)]
                  .get<int64_t>());
    EXPECT_EQ(
        FloatingPointOps(tensors, tokens, flag),
        facts["floating_point_ops"][absl::StrCat("exclude_embeddings=", value)]
            .get<int64_t>());
  }
}

// The peer's null is our empty list.
void ExpectList(const std::vector<std::string>& got, const Json& want) {
  EXPECT_EQ(Json(got), want.is_null() ? Json::array() : want);
}

void ExpectClassAttributes(const ModelLayout& layout, const Json& facts) {
  EXPECT_EQ(layout.class_name, facts["class"]);
  EXPECT_EQ(layout.base_model_prefix, facts["base_model_prefix"]);
  EXPECT_EQ(layout.main_input_name, facts["main_input_name"]);
  EXPECT_EQ(layout.can_generate, facts["can_generate"].get<bool>());
  ExpectList(layout.no_split_modules, facts["_no_split_modules"]);
  ExpectList(layout.tied_weights_keys, facts["_tied_weights_keys"]);
  ExpectList(layout.keep_in_fp32_modules, facts["_keep_in_fp32_modules"]);
  ExpectList(layout.keys_to_ignore_on_load_missing,
             facts["_keys_to_ignore_on_load_missing"]);
  ExpectList(layout.keys_to_ignore_on_load_unexpected,
             facts["_keys_to_ignore_on_load_unexpected"]);
  ExpectList(layout.keys_to_ignore_on_save, facts["_keys_to_ignore_on_save"]);
}

}  // namespace

std::vector<LayoutCase> LayoutCases(const std::string& fixture,
                                    const std::string& family) {
  std::vector<LayoutCase> cases = {
      {.folder = fixture,
       .facts = ReadJsonFile(absl::StrCat(fixture, "/facts.json"))}};
  for (const Json& facts : ReadJsonFile(absl::StrCat(family, "/facts.json"))) {
    cases.push_back(
        {.folder = absl::StrCat(family, "/", facts["model"].get<std::string>()),
         .config = facts["config"],
         .facts = facts});
  }
  return cases;
}

absl::StatusOr<ModelLayout> LayoutOf(const LayoutCase& golden) {
  absl::StatusOr<const LayoutClass*> layout_class =
      FindLayout(golden.facts["class"].get<std::string>());
  if (!layout_class.ok()) return layout_class.status();
  absl::StatusOr<PretrainedConfig> config = PretrainedConfig::FromPretrained(
      golden.folder, *(*layout_class)->config_class);
  if (!config.ok()) return config.status();
  for (const auto& [name, value] : golden.config.items()) {
    config->Set(name, value);
  }
  return (*layout_class)->build(*config, Json::object());
}

void ExpectLayoutOfPeer(const LayoutCase& golden) {
  SCOPED_TRACE(absl::StrCat(golden.folder, " ", golden.config.dump()));
  absl::StatusOr<ModelLayout> layout = LayoutOf(golden);
  ASSERT_THAT(layout, IsOk());
  ExpectTree(*layout, golden.facts);
  ExpectCounts(*layout, golden.facts);
  ExpectClassAttributes(*layout, golden.facts);
}

}  // namespace pretrained
