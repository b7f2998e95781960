#ifndef PRETRAINED_DEVICE_MAP_STORED_TREE_H_
#define PRETRAINED_DEVICE_MAP_STORED_TREE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "device_map/module_tree.h"
#include "dtypes/dtype.h"

namespace pretrained {

// A tensor that a checkpoint stores, as its header tells.
struct StoredTensor {
  std::string name;
  std::vector<int64_t> shape;
  Dtype dtype = Dtype::kFloat32;
};

// The module tree that the names of stored tensors imply: a module for each
// part before a dot. It knows no classes, no ties, and not which tensors are
// buffers: all count as parameters. Modules are in the order in which they
// first occur, but those with numbers for names in the order of these, for
// files sort "layers.10" before "layers.2".
ModuleTree TreeOfStoredTensors(absl::Span<const StoredTensor> tensors);

}  // namespace pretrained

#endif  // PRETRAINED_DEVICE_MAP_STORED_TREE_H_
