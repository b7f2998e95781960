#ifndef PRETRAINED_DEVICE_MAP_GOLDEN_TESTUTIL_H_
#define PRETRAINED_DEVICE_MAP_GOLDEN_TESTUTIL_H_

#include <string>
#include <vector>

#include "device_map/max_memory.h"
#include "device_map/module_tree.h"
#include "device_map/sized_tree.h"
#include "nlohmann/json.hpp"

namespace pretrained {

// A file of testdata/device_map, as text and as JSON; fails the test if it is
// none.
std::string GoldenText(const std::string& name);
nlohmann::ordered_json GoldenJson(const std::string& name);

// Names of the golden trees.
std::vector<std::string> GoldenTreeNames();
ModuleTree GoldenTree(const std::string& name);

// [[0, 100], ["cpu", 200]].
MaxMemory MaxMemoryFromPairs(const nlohmann::ordered_json& pairs);
nlohmann::ordered_json PairsFromMaxMemory(const MaxMemory& max_memory);

// A tree from JSON (ParseModuleTree()), measured; fails the test if it is bad.
SizedTree SizedTreeFromJson(const std::string& json,
                            const SizeOptions& options = {});

}  // namespace pretrained

#endif  // PRETRAINED_DEVICE_MAP_GOLDEN_TESTUTIL_H_
