#include "device_map/module_tree.h"

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/log/check.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace pretrained {
namespace {

using ModuleVisitor =
    absl::FunctionRef<void(const std::string&, const ModuleNode&)>;

void Walk(const std::string& path, const ModuleNode& node,
          ModuleVisitor visit) {
  visit(path, node);
  for (const ModuleNode& child : node.children) {
    Walk(JoinPath(path, child.name), child, visit);
  }
}

}  // namespace

int64_t TensorSpec::num_elements() const {
  int64_t count = 1;
  for (int64_t extent : shape) count *= extent;
  return count;
}

const ModuleNode* ModuleNode::find_child(absl::string_view child_name) const {
  for (const ModuleNode& child : children) {
    if (child.name == child_name) return &child;
  }
  return nullptr;
}

const ModuleNode& ModuleNode::child(absl::string_view child_name) const {
  const ModuleNode* found = find_child(child_name);
  CHECK(found != nullptr) << class_name << " has no child " << child_name;
  return *found;
}

absl::string_view LastPart(absl::string_view name) {
  return name.substr(name.rfind('.') + 1);  // npos + 1 is 0.
}

std::string JoinPath(absl::string_view path, absl::string_view name) {
  if (path.empty()) return std::string(name);
  return absl::StrCat(path, ".", name);
}

void ForEachModule(const ModuleNode& root, ModuleVisitor visit) {
  Walk("", root, visit);
}

void ForEachParameter(
    const ModuleNode& root,
    absl::FunctionRef<void(const std::string&, const TensorSpec&,
                           const ModuleNode&)>
        visit) {
  ForEachModule(root, [&](const std::string& path, const ModuleNode& node) {
    for (const TensorSpec& spec : node.parameters) {
      visit(JoinPath(path, spec.name), spec, node);
    }
  });
}

void ForEachBuffer(const ModuleNode& root,
                   absl::FunctionRef<void(const std::string&, const TensorSpec&,
                                          const ModuleNode&)>
                       visit) {
  ForEachModule(root, [&](const std::string& path, const ModuleNode& node) {
    for (const TensorSpec& spec : node.buffers) {
      visit(JoinPath(path, spec.name), spec, node);
    }
  });
}

std::vector<StateDictEntry> StateDictOf(const ModuleNode& root) {
  std::vector<StateDictEntry> entries;
  ForEachModule(root, [&](const std::string& path, const ModuleNode& node) {
    for (const TensorSpec& spec : node.parameters) {
      entries.push_back({JoinPath(path, spec.name), spec});
    }
    for (const TensorSpec& spec : node.buffers) {
      if (spec.persistent) {
        entries.push_back({JoinPath(path, spec.name), spec});
      }
    }
  });
  return entries;
}

}  // namespace pretrained
