#ifndef PRETRAINED_DEVICE_MAP_MODULE_TREE_JSON_H_
#define PRETRAINED_DEVICE_MAP_MODULE_TREE_JSON_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "device_map/module_tree.h"

namespace pretrained {

// Reads a module tree from JSON, one object a module:
//
//   {"class": "Linear",
//    "parameters": {"weight": {"shape": [4, 8], "dtype": "float32"}},
//    "buffers": {"mask": {"shape": [8], "dtype": "bool", "persistent": false}},
//    "children": {"name": {..}, ..in order..},
//    "tied": [["embed.weight", "head.weight"]]}
//
// All members may be absent; `dtype` is then float32, and `tied` is read at the
// root only. Or as a table of distinct modules, which is shorter where a model
// has a hundred layers of one shape:
//
//   {"root": 2, "tied": [..],
//    "nodes": [{"class": "Linear", "parameters": {"weight": [[4, 8], "int8"]},
//               "buffers": {}, "children": {"name": 0}}, ..]}
//
// in which children are indices into `nodes`. Members with other names are
// skipped. kInvalidArgument, with the name of the module, for what is none of
// these, for more than 2^20 modules and tensors, and more than 200 modules
// inside one another.
absl::StatusOr<ModuleTree> ParseModuleTree(absl::string_view json);

// A tree in the first of these forms, on one line.
std::string ModuleTreeJson(const ModuleTree& tree);

}  // namespace pretrained

#endif  // PRETRAINED_DEVICE_MAP_MODULE_TREE_JSON_H_
