#include "device_map/sized_tree.h"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "device_map/module_tree.h"
#include "dtypes/dtype.h"

namespace pretrained {
namespace {

// So many elements of the largest dtype are still counted exactly by a double.
constexpr int64_t kMostElements = int64_t{1} << 48;

int BitsOf(Dtype dtype) {
  return dtype == Dtype::kBool ? 1 : 8 * static_cast<int>(DtypeSize(dtype));
}

absl::Status CheckName(absl::string_view name, absl::string_view within) {
  if (!name.empty() && !absl::StrContains(name, '.')) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("module tree: '", within, "' holds something named '", name,
                   "'; a name is not empty and has no dot"));
}

absl::Status CheckElements(absl::string_view name, const TensorSpec& spec) {
  int64_t left = kMostElements;
  bool empty = false;
  for (const int64_t extent : spec.shape) {
    if (extent == 0) empty = true;
    if (extent < 0) left = 0;
    if (extent > 0) left /= extent;
  }
  if (left > 0 || (empty && !absl::c_any_of(spec.shape, [](int64_t extent) {
                     return extent < 0;
                   }))) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "module tree: '", name,
      "' has a shape of negative extents or more than 2^48 elements"));
}

// Edits (insert, delete, replace) between two names; `limit` + 1 if more.
size_t EditDistance(absl::string_view a, absl::string_view b, size_t limit) {
  const size_t longer = std::max(a.size(), b.size());
  if (longer - std::min(a.size(), b.size()) > limit) return limit + 1;
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

}  // namespace

absl::StatusOr<int> ElementBits(absl::string_view dtype) {
  if (dtype == "int4") return 4;
  if (dtype == "fp8" || dtype == "float8") return 8;
  const absl::StatusOr<std::optional<Dtype>> parsed = ParseTorchDtype(dtype);
  if (!parsed.ok()) return parsed.status();
  if (!parsed->has_value()) {
    return absl::InvalidArgumentError(
        "dtype 'auto' has no size; name one: float32, float16, bfloat16, fp8, "
        "int8 or int4");
  }
  return BitsOf(**parsed);
}

class SizedTree::Builder {
 public:
  Builder(const ModuleTree& tree, const SizeOptions& options, SizedTree& out)
      : tree_(tree),
        options_(options),
        no_split_(options.no_split_classes.begin(),
                  options.no_split_classes.end()),
        out_(out) {}

  absl::Status Build() {
    absl::Status status = Add(tree_.root, "", -1);
    if (!status.ok()) return status;
    status = ReadTies();
    if (!status.ok()) return status;
    Measure();
    return absl::OkStatus();
  }

 private:
  using Kind = TreeItem::Kind;

  // Appends an item and returns its index.
  absl::StatusOr<int> AddItem(TreeItem item) {
    const int index = static_cast<int>(out_.items_.size());
    if (!out_.index_.emplace(item.name, index).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("module tree: '", item.name, "' occurs twice"));
    }
    item.end = index + 1;
    out_.items_.push_back(std::move(item));
    return index;
  }

  absl::Status AddTensor(const TensorSpec& spec, Kind kind, int parent) {
    const std::string& within = out_.items_[parent].name;
    absl::Status status = CheckName(spec.name, within);
    if (!status.ok()) return status;
    TreeItem item{.name = JoinPath(within, spec.name),
                  .kind = kind,
                  .parent = parent,
                  .persistent = kind == Kind::kParameter || spec.persistent};
    status = CheckElements(item.name, spec);
    if (!status.ok()) return status;
    int bits = BitsOf(spec.dtype);
    if (auto special = options_.special_bits.find(item.name);
        special != options_.special_bits.end()) {
      bits = special->second;
    } else if (options_.bits.has_value()) {
      bits = std::min(bits, *options_.bits);
    }
    item.bytes = static_cast<double>(spec.num_elements()) * bits / 8;
    return AddItem(std::move(item)).status();
  }

  absl::Status Add(const ModuleNode& node, std::string name, int parent) {
    absl::StatusOr<int> added =
        AddItem({.name = std::move(name),
                 .class_name = node.class_name,
                 .parent = parent,
                 .has_modules = !node.children.empty(),
                 .no_split = no_split_.contains(node.class_name)});
    if (!added.ok()) return added.status();
    const int index = *added;
    for (const TensorSpec& spec : node.parameters) {
      absl::Status status = AddTensor(spec, Kind::kParameter, index);
      if (!status.ok()) return status;
    }
    for (const TensorSpec& spec : node.buffers) {
      absl::Status status = AddTensor(spec, Kind::kBuffer, index);
      if (!status.ok()) return status;
    }
    for (const ModuleNode& child : node.children) {
      absl::Status status = CheckName(child.name, out_.items_[index].name);
      if (!status.ok()) return status;
      status = Add(child, JoinPath(out_.items_[index].name, child.name), index);
      if (!status.ok()) return status;
    }
    out_.items_[index].end = static_cast<int>(out_.items_.size());
    return absl::OkStatus();
  }

  absl::Status ReadTies() {
    for (const std::vector<std::string>& names : tree_.tied) {
      if (names.size() < 2) continue;  // Tied to nothing.
      std::vector<int> group;
      for (const std::string& name : names) {
        const std::optional<int> found = out_.Find(name);
        if (!found.has_value() ||
            out_.items_[*found].kind != Kind::kParameter) {
          return absl::InvalidArgumentError(absl::StrCat(
              "module tree: '", name, "' is tied, but is no parameter of it"));
        }
        TreeItem& item = out_.items_[*found];
        if (item.tie != -1) {
          return absl::InvalidArgumentError(absl::StrCat(
              "module tree: '", name,
              "' is named twice among the tied; put all names of one tensor "
              "into one group"));
        }
        item.tie = static_cast<int>(out_.ties_.size());
        group.push_back(*found);
      }
      absl::c_sort(group);
      // The first is the tensor, the others are names of it.
      for (size_t i = 1; i < group.size(); ++i) out_.items_[group[i]].bytes = 0;
      out_.ties_.push_back(std::move(group));
    }
    return absl::OkStatus();
  }

  // Adds up, from the inside out.
  void Measure() {
    for (int i = static_cast<int>(out_.items_.size()) - 1; i >= 0; --i) {
      TreeItem& item = out_.items_[i];
      if (!item.is_module()) {
        const bool alias = item.tie != -1 && out_.ties_[item.tie][0] != i;
        item.has_tensors = !alias;
        item.has_parameters = !alias && item.kind == Kind::kParameter;
        if (item.has_parameters) item.parameter_bytes = item.bytes;
      }
      if (item.parent < 0) continue;
      TreeItem& parent = out_.items_[item.parent];
      parent.bytes += item.bytes;
      parent.parameter_bytes += item.parameter_bytes;
      parent.has_tensors |= item.has_tensors;
      parent.has_parameters |= item.has_parameters;
    }
  }

  const ModuleTree& tree_;
  const SizeOptions& options_;
  const absl::flat_hash_set<std::string> no_split_;
  SizedTree& out_;
};

absl::StatusOr<SizedTree> SizedTree::Create(const ModuleTree& tree,
                                            const SizeOptions& options) {
  SizedTree result;
  absl::Status status = Builder(tree, options, result).Build();
  if (!status.ok()) return status;
  return result;
}

std::optional<int> SizedTree::Find(absl::string_view name) const {
  const auto found = index_.find(name);
  if (found == index_.end()) return std::nullopt;
  return found->second;
}

std::optional<std::string> SizedTree::NearestName(
    absl::string_view name) const {
  constexpr size_t kLongestCompared = 200;
  for (const TreeItem& item : items_) {
    if (item.name.empty()) continue;
    if (absl::EndsWith(name, absl::StrCat(".", item.name)) ||
        absl::EndsWith(item.name, absl::StrCat(".", name))) {
      return item.name;
    }
  }
  if (name.size() > kLongestCompared) return std::nullopt;
  size_t limit = std::max<size_t>(name.size() / 3, 1);
  std::optional<std::string> nearest;
  for (const TreeItem& item : items_) {
    if (item.name.empty() || item.name.size() > kLongestCompared) continue;
    const size_t distance = EditDistance(name, item.name, limit);
    if (distance > limit) continue;
    nearest = item.name;
    if (distance <= 1) break;
    limit = distance - 1;
  }
  return nearest;
}

std::vector<int> SizedTree::Children(int index) const {
  std::vector<int> children;
  for (int i = index + 1; i < items_[index].end; i = items_[i].end) {
    children.push_back(i);
  }
  return children;
}

LargestLayer FindLargestLayer(const SizedTree& tree,
                              absl::Span<const int> items) {
  LargestLayer largest;
  for (const int start : items) {
    for (int i = start; i < tree.item(start).end;) {
      const TreeItem& item = tree.item(i);
      if (item.can_split()) {
        ++i;
        continue;
      }
      // A tensor of a module that is split is a layer only among `items`.
      if (item.is_module() || i == start) {
        if (item.bytes > largest.bytes) largest = {.bytes = item.bytes};
        if (item.bytes == largest.bytes) largest.layers.push_back(i);
      }
      i = item.end;
    }
  }
  return largest;
}

LargestLayer FindLargestLayer(const SizedTree& tree) {
  return FindLargestLayer(tree, tree.Children(0));
}

}  // namespace pretrained
