#ifndef PRETRAINED_TOOLS_SOURCE_TREE_H_
#define PRETRAINED_TOOLS_SOURCE_TREE_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "device_map/memory_estimator.h"
#include "device_map/module_tree.h"

namespace pretrained {

// A model as `plan` and `estimate` know it: no weights.
struct SourceTree {
  ModuleTree tree;
  std::vector<std::string> no_split_classes;
  // A parameter whose name has one of these in it stays float32 in a model that
  // is loaded as float16.
  std::vector<std::string> keep_in_fp32;
  // The dtype that "auto" stands for.
  std::string auto_dtype = "float32";
  // Of a model whose config tells; nullopt of one known by its tensors alone.
  std::optional<TransformerShape> shape;
  // Whether nothing is known but names: of an index whose shards are not there.
  bool names_only = false;
};

// Reads the tree of SRC:
//   a folder with config.json, or that file   the layout of its model class
//   another .json file                        a module tree, ParseModuleTree()
//   an .index.json                            what its shards store; without
//                                             them, the names it lists
//   a weights file, or a folder without       what is stored
//     config.json
// `class_name`, if it is not empty, is the model class of a config.
absl::StatusOr<SourceTree> ReadSourceTree(const std::string& source,
                                          const std::string& class_name);

}  // namespace pretrained

#endif  // PRETRAINED_TOOLS_SOURCE_TREE_H_
