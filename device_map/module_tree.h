#ifndef PRETRAINED_DEVICE_MAP_MODULE_TREE_H_
#define PRETRAINED_DEVICE_MAP_MODULE_TREE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "dtypes/dtype.h"

namespace pretrained {

// One parameter or buffer: what it is, not its values.
struct TensorSpec {
  std::string name;  // Within its module: "weight".
  std::vector<int64_t> shape;
  Dtype dtype = Dtype::kFloat32;
  bool persistent = true;  // Buffers only: whether the state dict has it.
  bool requires_grad =
      true;  // Floating parameters only: whether it is trained.

  int64_t num_elements() const;
  int64_t nbytes() const { return num_elements() * DtypeSize(dtype); }
};

// A module: its class, its own tensors in registration order, and the modules
// inside it.
struct ModuleNode {
  std::string name;        // Within its parent: "query"; empty for the root.
  std::string class_name;  // As in torch or transformers: "BertSelfAttention".
  std::vector<TensorSpec> parameters;
  std::vector<TensorSpec> buffers;
  std::vector<ModuleNode> children;

  // The child or tensor of that name; dies if there is none, for a layout and
  // the modules built from it are written side by side.
  const ModuleNode& child(absl::string_view child_name) const
      ABSL_ATTRIBUTE_LIFETIME_BOUND;
  const ModuleNode* find_child(absl::string_view child_name) const
      ABSL_ATTRIBUTE_LIFETIME_BOUND;
};

// A whole model as data, without LibTorch and without a byte of weights: what
// parameter counts, memory estimates and device maps are computed from, and
// what torch modules register their tensors from.
struct ModuleTree {
  ModuleNode root;
  // Groups of full names that are one tensor ("tied weights"). Sizes count the
  // first, in traversal order.
  std::vector<std::vector<std::string>> tied;
};

// Calls `visit` for every module in pre-order, the root (path "") first.
void ForEachModule(
    const ModuleNode& root,
    absl::FunctionRef<void(const std::string& path, const ModuleNode&)> visit);

// Calls `visit` for every parameter, aliases of tied ones included, with its
// full name, in torch's order (`named_parameters(remove_duplicate=False)`).
void ForEachParameter(
    const ModuleNode& root,
    absl::FunctionRef<void(const std::string& name, const TensorSpec&,
                           const ModuleNode& owner)>
        visit);

// Likewise for every buffer.
void ForEachBuffer(
    const ModuleNode& root,
    absl::FunctionRef<void(const std::string& name, const TensorSpec&,
                           const ModuleNode& owner)>
        visit);

// One entry of a state dict.
struct StateDictEntry {
  std::string name;
  TensorSpec spec;
};

// The state dict in torch's order: module by module, parameters before
// persistent buffers; every alias of a tied parameter has its own entry.
std::vector<StateDictEntry> StateDictOf(const ModuleNode& root);

// "encoder.layer.0" + "output" is "encoder.layer.0.output"; "" + "x" is "x".
std::string JoinPath(absl::string_view path, absl::string_view name);

// The last part of a full name: of "output.dense.weight", "weight".
absl::string_view LastPart(absl::string_view name);

}  // namespace pretrained

#endif  // PRETRAINED_DEVICE_MAP_MODULE_TREE_H_
