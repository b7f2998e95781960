#include "device_map/golden_testutil.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "device_map/device.h"
#include "device_map/max_memory.h"
#include "device_map/module_tree.h"
#include "device_map/module_tree_json.h"
#include "device_map/sized_tree.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using Json = nlohmann::ordered_json;

const char kFolder[] = "testdata/device_map/";

}  // namespace

std::string GoldenText(const std::string& name) {
  std::ifstream file(kFolder + name);
  EXPECT_TRUE(file.good()) << name;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

Json GoldenJson(const std::string& name) {
  Json json = Json::parse(GoldenText(name), nullptr, false);
  EXPECT_FALSE(json.is_discarded()) << name;
  return json;
}

std::vector<std::string> GoldenTreeNames() {
  std::vector<std::string> names;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(kFolder) + "trees")) {
    names.push_back(entry.path().stem());
  }
  EXPECT_EQ(names.size(), 18);
  return names;
}

ModuleTree GoldenTree(const std::string& name) {
  absl::StatusOr<ModuleTree> tree =
      ParseModuleTree(GoldenText("trees/" + name + ".json"));
  EXPECT_TRUE(tree.ok()) << tree.status();
  return tree.ok() ? *std::move(tree) : ModuleTree();
}

MaxMemory MaxMemoryFromPairs(const Json& pairs) {
  std::vector<MemoryBudget> budgets;
  for (const Json& pair : pairs) {
    const std::string device =
        pair[0].is_string() ? pair[0].get<std::string>() : pair[0].dump();
    const double bytes =
        pair[1].is_string()
            ? static_cast<double>(*ParseMemorySize(pair[1].get<std::string>()))
            : pair[1].get<double>();
    budgets.push_back({*Device::Parse(device), bytes});
  }
  absl::StatusOr<MaxMemory> max_memory = MakeMaxMemory(std::move(budgets));
  EXPECT_TRUE(max_memory.ok()) << max_memory.status();
  return max_memory.ok() ? *std::move(max_memory) : MaxMemory();
}

Json PairsFromMaxMemory(const MaxMemory& max_memory) {
  Json pairs = Json::array();
  for (const MemoryBudget& budget : max_memory) {
    Json device = budget.device.ToString();
    if (budget.device.is_gpu()) device = budget.device.ordinal();
    pairs.push_back(Json::array({device, budget.bytes}));
  }
  return pairs;
}

SizedTree SizedTreeFromJson(const std::string& json,
                            const SizeOptions& options) {
  const absl::StatusOr<ModuleTree> tree = ParseModuleTree(json);
  EXPECT_TRUE(tree.ok()) << tree.status();
  absl::StatusOr<SizedTree> sized =
      SizedTree::Create(tree.ok() ? *tree : ModuleTree(), options);
  EXPECT_TRUE(sized.ok()) << sized.status();
  return *std::move(sized);
}

}  // namespace pretrained
