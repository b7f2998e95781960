#ifndef PRETRAINED_MODELING_PARAMETER_COUNTS_H_
#define PRETRAINED_MODELING_PARAMETER_COUNTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "device_map/module_tree.h"

namespace pretrained {

// What counting needs to know of one tensor of a model.
struct CountedTensor {
  std::string name;
  int64_t num_elements = 0;
  int64_t element_bytes = 0;
  bool requires_grad = true;
  bool is_buffer = false;
  bool is_embedding_weight = false;  // See IsEmbeddingWeight().
};

// Whether a tensor of that name is the table of a module that embeds: of class
// Embedding, or one that derives from it (OPTLearnedPositionalEmbedding).
bool IsEmbeddingWeight(absl::string_view class_name,
                       absl::string_view tensor_name);

// The tensors of a model, each tied parameter once, under its first name.
std::vector<CountedTensor> CountedTensorsOf(const ModuleTree& tree);

struct CountOptions {
  bool only_trainable = false;
  bool exclude_embeddings = false;
};

// How many numbers the parameters hold.
// Matches: transformers 4.34 modeling_utils.py `num_parameters`.
int64_t CountParameters(const std::vector<CountedTensor>& tensors,
                        const CountOptions& options = {});

// Bytes of the parameters and, `with_buffers`, of the buffers: a bool takes a
// byte, and buffers that no state dict has count as well.
// Matches: transformers 4.34 modeling_utils.py `get_memory_footprint`.
int64_t MemoryFootprintBytes(const std::vector<CountedTensor>& tensors,
                             bool with_buffers = true);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_PARAMETER_COUNTS_H_
