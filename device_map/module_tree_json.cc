#include "device_map/module_tree_json.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "device_map/module_tree.h"
#include "dtypes/dtype.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using Json = nlohmann::ordered_json;

// Objects as they are read: members in order. nlohmann's own ordered map looks
// for each new member among the old ones, which takes minutes for a module of
// 100,000 children. A member that occurs twice stays twice; SizedTree refuses
// modules and tensors of one name.
template <typename Key, typename T, typename IgnoredLess, typename Allocator>
struct AppendedMembers : nlohmann::ordered_map<Key, T, IgnoredLess, Allocator> {
  using Base = nlohmann::ordered_map<Key, T, IgnoredLess, Allocator>;
  using Base::Base;

  T& operator[](const Key& key) {
    Base::Container::emplace_back(key, T());
    return this->back().second;
  }
};
using ReadJson = nlohmann::basic_json<AppendedMembers>;

constexpr int kDeepest = 200;
// A table of modules can stand for far more modules than it has bytes.
constexpr int64_t kMostItems = int64_t{1} << 20;

absl::Status Bad(absl::string_view where, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(
      "module tree: '", where.empty() ? "(root)" : where, "': ", what));
}

// `object[key]`; nullptr if it is absent or null.
const ReadJson* Member(const ReadJson& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

class TreeReader {
 public:
  // `nodes` is the table that children are indices of; nullptr where children
  // are modules themselves.
  explicit TreeReader(const ReadJson* nodes) : nodes_(nodes) {}

  absl::Status ReadModule(const ReadJson& json, const std::string& path,
                          int depth, ModuleNode& node) {
    if (!json.is_object()) return Bad(path, "a module is a JSON object");
    if (depth > kDeepest) {
      return Bad(path, "more than 200 modules inside one another");
    }
    absl::Status status = CountItem(path);
    if (!status.ok()) return status;
    if (const ReadJson* name = Member(json, "class"); name != nullptr) {
      if (!name->is_string()) return Bad(path, "'class' is not text");
      node.class_name = name->get<std::string>();
    }
    status = ReadTensors(json, "parameters", path, node.parameters);
    if (!status.ok()) return status;
    status = ReadTensors(json, "buffers", path, node.buffers);
    if (!status.ok()) return status;
    return ReadChildren(json, path, depth, node);
  }

 private:
  absl::Status CountItem(absl::string_view path) {
    if (++items_ <= kMostItems) return absl::OkStatus();
    return Bad(path, "the tree has more than 2^20 modules and tensors");
  }

  absl::Status ReadChildren(const ReadJson& json, const std::string& path,
                            int depth, ModuleNode& node) {
    const ReadJson* children = Member(json, "children");
    if (children == nullptr) return absl::OkStatus();
    if (!children->is_object()) {
      return Bad(path, "'children' is not an object of names and modules");
    }
    node.children.reserve(children->size());
    for (const auto& [name, child] : children->items()) {
      const ReadJson* module = &child;
      if (nodes_ != nullptr) {
        if (!child.is_number_unsigned() ||
            child.get<uint64_t>() >= nodes_->size()) {
          return Bad(path, absl::StrCat("child '", name,
                                        "' is no index into 'nodes'"));
        }
        module = &(*nodes_)[child.get<uint64_t>()];
      }
      node.children.push_back({.name = name});
      absl::Status status = ReadModule(*module, JoinPath(path, name), depth + 1,
                                       node.children.back());
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::Status ReadTensors(const ReadJson& json, const char* key,
                           const std::string& path,
                           std::vector<TensorSpec>& tensors) {
    const ReadJson* members = Member(json, key);
    if (members == nullptr) return absl::OkStatus();
    if (!members->is_object()) {
      return Bad(path, absl::StrCat("'", key,
                                    "' is not an object of names and tensors"));
    }
    tensors.reserve(members->size());
    for (const auto& [name, value] : members->items()) {
      const std::string full = JoinPath(path, name);
      TensorSpec spec{.name = name};
      absl::Status status = CountItem(full);
      if (!status.ok()) return status;
      status = ReadTensor(value, full, spec);
      if (!status.ok()) return status;
      tensors.push_back(std::move(spec));
    }
    return absl::OkStatus();
  }

  // {"shape": [4, 8], "dtype": "float32"} or [[4, 8], "float32"].
  absl::Status ReadTensor(const ReadJson& json, absl::string_view name,
                          TensorSpec& spec) {
    const ReadJson* shape = nullptr;
    const ReadJson* dtype = nullptr;
    if (json.is_array() && json.size() == 2) {
      shape = &json[0];
      dtype = &json[1];
    } else if (json.is_object()) {
      shape = Member(json, "shape");
      dtype = Member(json, "dtype");
      if (const ReadJson* persistent = Member(json, "persistent");
          persistent != nullptr) {
        if (!persistent->is_boolean()) {
          return Bad(name, "'persistent' is true or false");
        }
        spec.persistent = persistent->get<bool>();
      }
    }
    if (shape == nullptr || !shape->is_array()) {
      return Bad(name,
                 "a tensor is {\"shape\": [4, 8], \"dtype\": \"float32\"}");
    }
    for (const ReadJson& extent : *shape) {
      if (!extent.is_number_integer())
        return Bad(name, "a shape is of numbers");
      spec.shape.push_back(extent.get<int64_t>());
    }
    if (dtype == nullptr) return absl::OkStatus();
    if (!dtype->is_string()) return Bad(name, "'dtype' is not text");
    absl::StatusOr<std::optional<Dtype>> parsed =
        ParseTorchDtype(dtype->get_ref<const std::string&>());
    if (!parsed.ok()) return Bad(name, parsed.status().message());
    if (!parsed->has_value()) return Bad(name, "dtype 'auto' is none");
    spec.dtype = **parsed;
    return absl::OkStatus();
  }

  const ReadJson* nodes_;
  int64_t items_ = 0;
};

absl::Status ReadTies(const ReadJson& json, ModuleTree& tree) {
  const ReadJson* tied = Member(json, "tied");
  if (tied == nullptr) return absl::OkStatus();
  const absl::Status bad = Bad("", "'tied' is a list of lists of names");
  if (!tied->is_array()) return bad;
  for (const ReadJson& group : *tied) {
    if (!group.is_array()) return bad;
    std::vector<std::string>& names = tree.tied.emplace_back();
    for (const ReadJson& name : group) {
      if (!name.is_string()) return bad;
      names.push_back(name.get<std::string>());
    }
  }
  return absl::OkStatus();
}

Json TensorsJson(const std::vector<TensorSpec>& tensors) {
  Json json = Json::object();
  for (const TensorSpec& spec : tensors) {
    Json& entry = json[spec.name];
    entry["shape"] = spec.shape;
    entry["dtype"] = std::string(DtypeName(spec.dtype));
    if (!spec.persistent) entry["persistent"] = false;
  }
  return json;
}

Json ModuleJson(const ModuleNode& node) {
  Json json = {{"class", node.class_name}};
  if (!node.parameters.empty())
    json["parameters"] = TensorsJson(node.parameters);
  if (!node.buffers.empty()) json["buffers"] = TensorsJson(node.buffers);
  if (node.children.empty()) return json;
  Json& children = json["children"] = Json::object();
  for (const ModuleNode& child : node.children) {
    children[child.name] = ModuleJson(child);
  }
  return json;
}

}  // namespace

absl::StatusOr<ModuleTree> ParseModuleTree(absl::string_view json) {
  const ReadJson document = ReadJson::parse(json.begin(), json.end(), nullptr,
                                            /*allow_exceptions=*/false);
  if (!document.is_object()) {
    return Bad("", "the text is not a JSON object, as a module tree is");
  }
  ModuleTree tree;
  const ReadJson* root = &document;
  const ReadJson* nodes = Member(document, "nodes");
  if (nodes != nullptr) {
    const ReadJson* index = Member(document, "root");
    if (!nodes->is_array() || index == nullptr ||
        !index->is_number_unsigned() ||
        index->get<uint64_t>() >= nodes->size()) {
      return Bad("", "'root' is no index into the list 'nodes'");
    }
    root = &(*nodes)[index->get<uint64_t>()];
  }
  absl::Status status = TreeReader(nodes).ReadModule(*root, "", 0, tree.root);
  if (!status.ok()) return status;
  status = ReadTies(document, tree);
  if (!status.ok()) return status;
  return tree;
}

std::string ModuleTreeJson(const ModuleTree& tree) {
  Json json = ModuleJson(tree.root);
  if (!tree.tied.empty()) json["tied"] = tree.tied;
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace pretrained
