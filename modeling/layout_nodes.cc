#include "modeling/layout_nodes.h"

#include <cstdint>
#include <string>
#include <utility>

#include "absl/log/absl_check.h"
#include "device_map/module_tree.h"
#include "modeling/activation_names.h"

namespace pretrained {

ModuleNode LinearNode(std::string name, int64_t in_features,
                      int64_t out_features, bool bias) {
  ModuleNode node{
      .name = std::move(name),
      .class_name = "Linear",
      .parameters = {{.name = "weight", .shape = {out_features, in_features}}}};
  if (bias)
    node.parameters.push_back({.name = "bias", .shape = {out_features}});
  return node;
}

ModuleNode EmbeddingNode(std::string name, int64_t num_embeddings,
                         int64_t embedding_dim) {
  return {.name = std::move(name),
          .class_name = "Embedding",
          .parameters = {
              {.name = "weight", .shape = {num_embeddings, embedding_dim}}}};
}

ModuleNode LayerNormNode(std::string name, int64_t size,
                         bool elementwise_affine) {
  if (!elementwise_affine) {
    return {.name = std::move(name), .class_name = "LayerNorm"};
  }
  return {.name = std::move(name),
          .class_name = "LayerNorm",
          .parameters = {{.name = "weight", .shape = {size}},
                         {.name = "bias", .shape = {size}}}};
}

ModuleNode RmsNormNode(std::string name, std::string class_name, int64_t size) {
  return {.name = std::move(name),
          .class_name = std::move(class_name),
          .parameters = {{.name = "weight", .shape = {size}}}};
}

ModuleNode Conv1DNode(std::string name, int64_t in_features,
                      int64_t out_features) {
  return {
      .name = std::move(name),
      .class_name = "Conv1D",
      .parameters = {{.name = "weight", .shape = {in_features, out_features}},
                     {.name = "bias", .shape = {out_features}}}};
}

ModuleNode DropoutNode(std::string name) {
  return {.name = std::move(name), .class_name = "Dropout"};
}

ModuleNode ActivationNode(std::string name, const std::string& activation) {
  const ActivationName* found = FindActivation(activation);
  ABSL_CHECK(found != nullptr) << activation;
  return {.name = std::move(name),
          .class_name = std::string(found->class_name)};
}

}  // namespace pretrained
