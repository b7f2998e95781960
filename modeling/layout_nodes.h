#ifndef PRETRAINED_MODELING_LAYOUT_NODES_H_
#define PRETRAINED_MODELING_LAYOUT_NODES_H_

#include <cstdint>
#include <string>

#include "device_map/module_tree.h"

namespace pretrained {

// The nodes that every family's layout is built of; names of tensors, and their
// order, are torch's.

// weight [out_features, in_features], bias [out_features].
ModuleNode LinearNode(std::string name, int64_t in_features,
                      int64_t out_features, bool bias = true);

// weight [num_embeddings, embedding_dim].
ModuleNode EmbeddingNode(std::string name, int64_t num_embeddings,
                         int64_t embedding_dim);

// weight [size], bias [size]; neither where the norm learns nothing
// (elementwise_affine).
ModuleNode LayerNormNode(std::string name, int64_t size,
                         bool elementwise_affine = true);

// weight [size]; `class_name` as the family calls it: "LlamaRMSNorm".
ModuleNode RmsNormNode(std::string name, std::string class_name, int64_t size);

// GPT-2's linear layer, whose matrix lies the other way round: weight
// [in_features, out_features], bias [out_features].
ModuleNode Conv1DNode(std::string name, int64_t in_features,
                      int64_t out_features);

ModuleNode DropoutNode(std::string name);

// The module of the activation that a config calls `activation`, which must
// be a known one (activation_names.h).
ModuleNode ActivationNode(std::string name, const std::string& activation);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_LAYOUT_NODES_H_
