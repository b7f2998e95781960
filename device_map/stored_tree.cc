#include "device_map/stored_tree.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "device_map/module_tree.h"

namespace pretrained {
namespace {

// A module while it grows: nodes stand in one list, so that they may be found
// by name while others are added.
struct Growing {
  ModuleNode node;
  std::vector<int> children;
};

bool ByNumber(const ModuleNode& a, const ModuleNode& b) {
  int64_t left = 0;
  int64_t right = 0;
  return absl::SimpleAtoi(a.name, &left) && absl::SimpleAtoi(b.name, &right) &&
         left < right;
}

bool IsNumber(const ModuleNode& node) {
  int64_t number = 0;
  return absl::SimpleAtoi(node.name, &number);
}

}  // namespace

ModuleTree TreeOfStoredTensors(absl::Span<const StoredTensor> tensors) {
  std::vector<Growing> modules(1);
  absl::flat_hash_map<std::string, int> index_of = {{"", 0}};
  for (const StoredTensor& tensor : tensors) {
    int module = 0;
    for (size_t dot = tensor.name.find('.'); dot != std::string::npos;
         dot = tensor.name.find('.', dot + 1)) {
      const absl::string_view path(tensor.name.data(), dot);
      const auto [found, added] =
          index_of.try_emplace(path, static_cast<int>(modules.size()));
      if (added) {
        modules[module].children.push_back(found->second);
        modules.push_back({.node = {.name = std::string(LastPart(path))}});
      }
      module = found->second;
    }
    modules[module].node.parameters.push_back(
        {.name = std::string(LastPart(tensor.name)),
         .shape = tensor.shape,
         .dtype = tensor.dtype});
  }
  // Children have higher indices than their parents: complete these last.
  for (int i = static_cast<int>(modules.size()) - 1; i >= 0; --i) {
    std::vector<ModuleNode>& children = modules[i].node.children;
    for (const int child : modules[i].children) {
      children.push_back(std::move(modules[child].node));
    }
    if (std::all_of(children.begin(), children.end(), IsNumber)) {
      std::stable_sort(children.begin(), children.end(), ByNumber);
    }
  }
  return {.root = std::move(modules[0].node)};
}

}  // namespace pretrained
