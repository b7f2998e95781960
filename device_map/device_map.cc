#include "device_map/device_map.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "device_map/device.h"
#include "device_map/sized_tree.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMostListed = 5;  // Names in one message.

absl::StatusOr<Device> DeviceFromJson(const Json& json) {
  if (json.is_string()) return Device::Parse(json.get<std::string>());
  return Device::Parse(json.dump());  // A number, or what the error names.
}

// The names of a map as a tree of their parts. Views into the map.
class NameTree {
 public:
  explicit NameTree(const DeviceMap& device_map) : nodes_(1) {
    for (const DeviceMapEntry& entry : device_map) {
      nodes_[Add(entry.module)].own = entry.device;
    }
    // Parents stand before their children.
    for (int i = static_cast<int>(nodes_.size()) - 1; i > 0; --i) Count(i);
  }

  DeviceMap Clean() const {
    DeviceMap cleaned;
    std::vector<int> left = {0};
    while (!left.empty()) {
      const int index = left.back();
      left.pop_back();
      const Node& node = nodes_[index];
      if (CanJoin(index)) {
        cleaned.push_back({std::string(node.name), *node.only});
        continue;
      }
      if (node.own.has_value()) {
        cleaned.push_back({std::string(node.name), *node.own});
      }
      left.insert(left.end(), node.children.rbegin(), node.children.rend());
    }
    return cleaned;
  }

 private:
  struct Node {
    absl::string_view name;  // In full.
    int parent = -1;
    std::vector<int> children;
    std::optional<Device> own;
    int below = 0;               // Entries below it,
    std::optional<Device> only;  // the device of the first,
    bool mixed = false;          // and whether others have another one.
  };

  int Add(absl::string_view name) {
    int parent = 0;
    for (size_t dot = 0; dot < name.size(); ++dot) {
      dot = std::min(name.find('.', dot), name.size());
      const absl::string_view path = name.substr(0, dot);
      const auto [found, added] =
          index_.try_emplace(path, static_cast<int>(nodes_.size()));
      if (added) {
        nodes_[parent].children.push_back(found->second);
        nodes_.push_back({.name = path, .parent = parent});
      }
      parent = found->second;
    }
    return parent;
  }

  void Count(int index) {
    const Node& node = nodes_[index];
    Node& parent = nodes_[node.parent];
    for (const std::optional<Device>& device : {node.own, node.only}) {
      if (!device.has_value()) continue;
      if (!parent.only.has_value()) parent.only = device;
      if (parent.only != device) parent.mixed = true;
    }
    parent.mixed |= node.mixed;
    parent.below += node.below + (node.own.has_value() ? 1 : 0);
  }

  // Whether one entry can stand for all below the node, and for its own.
  bool CanJoin(int index) const {
    const Node& node = nodes_[index];
    if (node.mixed || !node.only.has_value()) return false;
    if (node.own.has_value() && node.own != node.only) return false;
    const bool counts_own = index == 0 && node.own.has_value();
    return node.below + (counts_own ? 1 : 0) > 1;
  }

  std::vector<Node> nodes_;  // The root is the first.
  absl::flat_hash_map<absl::string_view, int> index_;
};

std::string Listed(const std::vector<std::string>& names) {
  if (names.size() <= kMostListed) return absl::StrJoin(names, ", ");
  return absl::StrCat(
      absl::StrJoin(absl::MakeConstSpan(names).first(kMostListed), ", "),
      " and ", names.size() - kMostListed, " more");
}

// What is wrong with the names and devices of the entries themselves.
void CheckEntries(const SizedTree& tree, const DeviceMap& device_map,
                  std::optional<absl::Span<const Device>> devices,
                  std::vector<std::string>& problems) {
  for (const DeviceMapEntry& entry : device_map) {
    if (!tree.Find(entry.module).has_value()) {
      const std::optional<std::string> nearest = tree.NearestName(entry.module);
      problems.push_back(absl::StrCat(
          "'", entry.module, "' is no module of the model",
          nearest.has_value() ? absl::StrCat("; did you mean '", *nearest, "'?")
                              : ""));
    }
    if (entry.device.is_gpu() && devices.has_value() &&
        !absl::c_linear_search(*devices, entry.device)) {
      problems.push_back(absl::StrCat(
          "'", entry.module, "' is to go to GPU ", entry.device.ToString(),
          ", but this machine has ",
          devices->empty()
              ? "none"
              : absl::StrCat("just ",
                             absl::StrJoin(*devices, ", ",
                                           [](std::string* out, Device gpu) {
                                             out->append(gpu.ToString());
                                           }))));
    }
  }
}

}  // namespace

absl::StatusOr<DeviceMap> ParseDeviceMap(absl::string_view text) {
  if (text.empty() || text.front() != '{') {
    const absl::StatusOr<Device> device = Device::Parse(text);
    if (!device.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("device map: ", device.status().message()));
    }
    return DeviceMap{{"", *device}};
  }
  const Json json = Json::parse(text.begin(), text.end(), nullptr,
                                /*allow_exceptions=*/false);
  if (!json.is_object() || json.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "device map: ", text.substr(0, 80),
        " is not a JSON object of module names and devices, such as {\"\": "
        "\"cpu\"} or {\"model.embed\": 0, \"model.layers\": 1}"));
  }
  DeviceMap device_map;
  absl::flat_hash_set<std::string> seen;
  for (const auto& [name, value] : json.items()) {
    const absl::StatusOr<Device> device = DeviceFromJson(value);
    if (!device.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "device map: '", name, "': ", device.status().message()));
    }
    if (!seen.insert(name).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("device map: '", name, "' occurs twice"));
    }
    device_map.push_back({name, *device});
  }
  return device_map;
}

std::string DeviceMapJson(const DeviceMap& device_map) {
  std::string json = "{";
  for (const auto& [module, device] : device_map) {
    // A string alone is linear; an object of them looks for each key.
    const char* quote = device.is_gpu() ? "" : "\"";
    absl::StrAppend(
        &json, json.size() > 1 ? "," : "",
        Json(module).dump(-1, ' ', false, Json::error_handler_t::replace), ":",
        quote, device.ToString(), quote);
  }
  return json + "}";
}

DeviceMap CleanDeviceMap(const DeviceMap& device_map) {
  return NameTree(device_map).Clean();
}

std::vector<std::optional<Device>> DevicesOfItems(const SizedTree& tree,
                                                  const DeviceMap& device_map) {
  const absl::Span<const TreeItem> items = tree.items();
  std::vector<std::optional<Device>> devices(items.size());
  for (const DeviceMapEntry& entry : device_map) {
    const std::optional<int> item = tree.Find(entry.module);
    if (item.has_value()) devices[*item] = entry.device;
  }
  std::vector<int> left_out;  // Buffers.
  for (int i = 1; i < static_cast<int>(items.size()); ++i) {
    if (!devices[i].has_value()) devices[i] = devices[items[i].parent];
    if (!devices[i].has_value() && items[i].kind == TreeItem::Kind::kBuffer) {
      left_out.push_back(i);
    }
  }
  std::vector<std::optional<Device>> found(left_out.size());
  for (size_t n = 0; n < left_out.size(); ++n) {
    for (int module = items[left_out[n]].parent;
         module >= 0 && !found[n].has_value(); module = items[module].parent) {
      for (int i = module + 1; i < items[module].end && !found[n]; ++i) {
        found[n] = devices[i];
      }
    }
  }
  for (size_t n = 0; n < left_out.size(); ++n) devices[left_out[n]] = found[n];
  return devices;
}

absl::Status CheckDeviceMap(const SizedTree& tree, const DeviceMap& device_map,
                            std::optional<absl::Span<const Device>> devices) {
  std::vector<std::string> problems;
  CheckEntries(tree, device_map, devices, problems);
  const std::vector<std::optional<Device>> placed =
      DevicesOfItems(tree, device_map);
  std::vector<std::string> uncovered;
  for (size_t i = 0; i < placed.size(); ++i) {
    if (!placed[i].has_value() && !tree.item(i).is_module()) {
      uncovered.push_back(tree.item(i).name);
    }
  }
  if (!uncovered.empty()) {
    problems.push_back(
        absl::StrCat("no entry says where to put ", Listed(uncovered),
                     "; name them, a module they are in, or \"\" for all"));
  }
  if (problems.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("device map: ", absl::StrJoin(problems, "; ")));
}

absl::Status CheckTiesTogether(const SizedTree& tree,
                               const DeviceMap& device_map) {
  const std::vector<std::optional<Device>> placed =
      DevicesOfItems(tree, device_map);
  for (const std::vector<int>& group : tree.ties()) {
    for (const int index : group) {
      if (placed[index] == placed[group[0]]) continue;
      const auto name = [&](int item) {
        return placed[item].has_value() ? placed[item]->ToString()
                                        : "no device";
      };
      return absl::InvalidArgumentError(absl::StrCat(
          "device map: '", tree.item(index).name, "' is on ", name(index),
          ", but is tied to '", tree.item(group[0]).name, "' on ",
          name(group[0]), "; place both together or untie them"));
    }
  }
  return absl::OkStatus();
}

}  // namespace pretrained
