#ifndef PRETRAINED_MODELING_MODEL_OUTPUT_H_
#define PRETRAINED_MODELING_MODEL_OUTPUT_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"

namespace pretrained {

// A model's inputs by the names of forward's arguments: "input_ids", ..
using NamedTensors = absl::flat_hash_map<std::string, at::Tensor>;

// What a forward is asked for beside the inputs; the config decides where
// nothing is said.
struct ForwardOptions {
  std::optional<bool> output_attentions;
  std::optional<bool> output_hidden_states;
  std::optional<bool> use_cache;
};

// A model's results under the names of the peer's ModelOutput, in its order;
// members of a tuple as "hidden_states.0", "hidden_states.1", ..
struct ModelOutput {
  std::vector<std::pair<std::string, at::Tensor>> fields;

  // The field of that name, or null.
  const at::Tensor* find(absl::string_view name) const {
    for (const auto& [field, tensor] : fields) {
      if (field == name) return &tensor;
    }
    return nullptr;
  }

  // Adds what is defined.
  void Add(absl::string_view name, const at::Tensor& tensor);
  void Add(absl::string_view name, const std::vector<at::Tensor>& tensors);
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_MODEL_OUTPUT_H_
