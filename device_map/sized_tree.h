#ifndef PRETRAINED_DEVICE_MAP_SIZED_TREE_H_
#define PRETRAINED_DEVICE_MAP_SIZED_TREE_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "device_map/module_tree.h"

namespace pretrained {

// Bits that one element of a dtype takes: 32 for "float32", 8 for
// "float8_e4m3fn" and "fp8", 4 for "int4"; torch's names, with or without
// prefix, and its aliases. A bool counts one bit, as in accelerate.
// kInvalidArgument for any other name.
// Matches: accelerate 0.23 utils/modeling.py `dtype_byte_size`.
// Differs: it takes the last digits of the name, so that float8_e5m2 counts
//     nothing there and float8_e4m3fn is refused.
absl::StatusOr<int> ElementBits(absl::string_view dtype);

// As which dtypes the tensors of a tree are counted.
struct SizeOptions {
  // Bits of the dtype that the model is loaded as; a tensor whose own dtype is
  // smaller keeps its own. nullopt: all keep theirs.
  std::optional<int> bits;
  // Tensors, by full name, that have a dtype of their own, in bits.
  absl::flat_hash_map<std::string, int> special_bits;
  // Classes of modules that are not to be split.
  std::vector<std::string> no_split_classes;
};

// A module, a parameter or a buffer of a tree, and how large it is.
struct TreeItem {
  enum class Kind { kModule, kParameter, kBuffer };

  std::string name;        // Full; empty for the root.
  std::string class_name;  // Of modules.
  Kind kind = Kind::kModule;
  int parent = -1;
  int end = 0;  // What lies within it: the items after it, up to here.
  // Of all tensors within. Of tied ones only the first in order counts.
  double bytes = 0;
  double parameter_bytes = 0;   // The part of `bytes` that is parameters.
  bool has_tensors = false;     // Whether a tensor within it counts,
  bool has_parameters = false;  // and a parameter.
  bool has_modules = false;     // Whether a module lies directly within it.
  bool no_split = false;
  bool persistent = true;  // Of tensors: whether the state dict has it.
  int tie = -1;            // Of parameters: index into ties(), -1 for none.

  bool is_module() const { return kind == Kind::kModule; }
  // Whether a plan may give its parts to several devices.
  bool can_split() const { return is_module() && has_modules && !no_split; }
};

// A module tree laid flat and measured: what plans and estimates are made from.
// An item is known by its index; the root is 0.
//
// Items are in pre-order: a module, its parameters, its buffers, its modules.
// Cost: linear in the number of modules and tensors.
// Threads: immutable.
// Matches: accelerate 0.23 utils/modeling.py `compute_module_sizes`.
class SizedTree {
 public:
  // kInvalidArgument, with its name, for a module or tensor whose name occurs
  // twice, is empty or has a dot, a tensor of negative or too many elements,
  // and a tied name that is no parameter of the tree or is in two groups.
  static absl::StatusOr<SizedTree> Create(const ModuleTree& tree,
                                          const SizeOptions& options);

  absl::Span<const TreeItem> items() const ABSL_ATTRIBUTE_LIFETIME_BOUND {
    return items_;
  }
  const TreeItem& item(int index) const ABSL_ATTRIBUTE_LIFETIME_BOUND {
    return items_[index];
  }
  const TreeItem& root() const ABSL_ATTRIBUTE_LIFETIME_BOUND {
    return items_[0];
  }

  // Groups of two or more parameters that are one tensor, each in order of
  // items.
  absl::Span<const std::vector<int>> ties() const
      ABSL_ATTRIBUTE_LIFETIME_BOUND {
    return ties_;
  }

  // The item of that full name; nullopt if there is none.
  std::optional<int> Find(absl::string_view name) const;

  // The name of an item that somebody who wrote `name` most likely meant: one
  // that has or lacks a prefix up to a dot, else the one fewest edits away, if
  // they are few. nullopt if none is near.
  std::optional<std::string> NearestName(absl::string_view name) const;

  // The items directly within `index`: parameters, buffers, modules.
  std::vector<int> Children(int index) const;

 private:
  class Builder;

  SizedTree() = default;

  std::vector<TreeItem> items_;
  std::vector<std::vector<int>> ties_;
  absl::flat_hash_map<std::string, int> index_;  // By name.
};

// The largest layer among `items` and what lies within them: a module without
// modules, a module that is not to be split, or a tensor among `items`.
struct LargestLayer {
  double bytes = 0;
  std::vector<int> layers;  // All that are of this size, in order.
};
// Matches: accelerate 0.23 utils/modeling.py `get_max_layer_size`.
LargestLayer FindLargestLayer(const SizedTree& tree,
                              absl::Span<const int> items);

// As FindLargestLayer() of everything directly within the root.
LargestLayer FindLargestLayer(const SizedTree& tree);

}  // namespace pretrained

#endif  // PRETRAINED_DEVICE_MAP_SIZED_TREE_H_
