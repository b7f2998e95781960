#include "modeling/parameter_counts.h"

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "device_map/module_tree.h"

namespace pretrained {

bool IsEmbeddingWeight(absl::string_view class_name,
                       absl::string_view tensor_name) {
  return absl::EndsWith(class_name, "Embedding") && tensor_name == "weight";
}

std::vector<CountedTensor> CountedTensorsOf(const ModuleTree& tree) {
  absl::flat_hash_map<std::string, size_t> group_of;
  for (size_t group = 0; group < tree.tied.size(); ++group) {
    for (const std::string& name : tree.tied[group]) group_of[name] = group;
  }
  absl::flat_hash_set<size_t> seen_groups;
  std::vector<CountedTensor> counted;
  const auto add = [&](const std::string& name, const TensorSpec& spec,
                       const ModuleNode& owner, bool is_buffer) {
    auto group = group_of.find(name);
    if (group != group_of.end() && !seen_groups.insert(group->second).second) {
      return;
    }
    counted.push_back(
        {.name = name,
         .num_elements = spec.num_elements(),
         .element_bytes = DtypeSize(spec.dtype),
         .requires_grad = !is_buffer && spec.requires_grad,
         .is_buffer = is_buffer,
         .is_embedding_weight =
             !is_buffer && IsEmbeddingWeight(owner.class_name, spec.name)});
  };
  ForEachParameter(tree.root,
                   [&](const std::string& name, const TensorSpec& spec,
                       const ModuleNode& owner) {
                     add(name, spec, owner, /*is_buffer=*/false);
                   });
  ForEachBuffer(tree.root, [&](const std::string& name, const TensorSpec& spec,
                               const ModuleNode& owner) {
    add(name, spec, owner, /*is_buffer=*/true);
  });
  return counted;
}

int64_t CountParameters(const std::vector<CountedTensor>& tensors,
                        const CountOptions& options) {
  int64_t count = 0;
  for (const CountedTensor& tensor : tensors) {
    if (tensor.is_buffer) continue;
    if (options.only_trainable && !tensor.requires_grad) continue;
    if (options.exclude_embeddings && tensor.is_embedding_weight) continue;
    count += tensor.num_elements;
  }
  return count;
}

int64_t MemoryFootprintBytes(const std::vector<CountedTensor>& tensors,
                             bool with_buffers) {
  int64_t bytes = 0;
  for (const CountedTensor& tensor : tensors) {
    if (tensor.is_buffer && !with_buffers) continue;
    bytes += tensor.num_elements * tensor.element_bytes;
  }
  return bytes;
}

}  // namespace pretrained
