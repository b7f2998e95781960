#include "modeling/bert/bert_layout.h"

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "device_map/module_tree.h"
#include "modeling/bert/bert_config.h"
#include "modeling/layout_nodes.h"
#include "modeling/model_layout.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

ModuleNode Embeddings(const BertConfig& config) {
  const TensorSpec ids = {.shape = {1, config.max_position_embeddings},
                          .dtype = Dtype::kInt64,
                          .persistent = false};
  TensorSpec position_ids = ids;
  position_ids.name = "position_ids";
  TensorSpec token_type_ids = ids;
  token_type_ids.name = "token_type_ids";
  return {.name = "embeddings",
          .class_name = "BertEmbeddings",
          .buffers = {position_ids, token_type_ids},
          .children = {
              EmbeddingNode("word_embeddings", config.vocab_size,
                            config.hidden_size),
              EmbeddingNode("position_embeddings",
                            config.max_position_embeddings, config.hidden_size),
              EmbeddingNode("token_type_embeddings", config.type_vocab_size,
                            config.hidden_size),
              LayerNormNode("LayerNorm", config.hidden_size),
              DropoutNode("dropout")}};
}

// A projection back to the hidden size, then a residual and a norm.
ModuleNode Output(std::string class_name, const BertConfig& config,
                  int64_t in_features) {
  return {.name = "output",
          .class_name = std::move(class_name),
          .children = {LinearNode("dense", in_features, config.hidden_size),
                       LayerNormNode("LayerNorm", config.hidden_size),
                       DropoutNode("dropout")}};
}

ModuleNode Attention(std::string name, const BertConfig& config,
                     int64_t num_heads, bool relative_positions) {
  const int64_t size = config.hidden_size;
  const int64_t all_heads_size = num_heads * config.head_size();
  ModuleNode self{.name = "self",
                  .class_name = "BertSelfAttention",
                  .children = {LinearNode("query", size, all_heads_size),
                               LinearNode("key", size, all_heads_size),
                               LinearNode("value", size, all_heads_size),
                               DropoutNode("dropout")}};
  if (relative_positions) {
    self.children.push_back(EmbeddingNode(
        "distance_embedding", 2 * config.max_position_embeddings - 1,
        config.head_size()));
  }
  return {.name = std::move(name),
          .class_name = "BertAttention",
          .children = {self, Output("BertSelfOutput", config, all_heads_size)}};
}

ModuleNode Layer(const BertConfig& config, int64_t index) {
  ModuleNode layer{.name = absl::StrCat(index), .class_name = "BertLayer"};
  layer.children.push_back(
      Attention("attention", config, config.num_heads(index),
                config.position_embedding_type != "absolute"));
  if (config.add_cross_attention) {
    // Encoder states have no positions relative to the decoder's.
    layer.children.push_back(
        Attention("crossattention", config, config.num_attention_heads, false));
  }
  layer.children.push_back(
      {.name = "intermediate",
       .class_name = "BertIntermediate",
       .children = {
           LinearNode("dense", config.hidden_size, config.intermediate_size),
           ActivationNode("intermediate_act_fn", config.hidden_act)}});
  layer.children.push_back(
      Output("BertOutput", config, config.intermediate_size));
  return layer;
}

ModuleNode Encoder(const BertConfig& config) {
  ModuleNode layers{.name = "layer", .class_name = "ModuleList"};
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    layers.children.push_back(Layer(config, i));
  }
  return {.name = "encoder", .class_name = "BertEncoder", .children = {layers}};
}

ModuleNode Pooler(const BertConfig& config) {
  return {
      .name = "pooler",
      .class_name = "BertPooler",
      .children = {LinearNode("dense", config.hidden_size, config.hidden_size),
                   ActivationNode("activation", "tanh")}};
}

absl::StatusOr<ModelLayout> Build(const PretrainedConfig& config,
                                  const nlohmann::ordered_json& model_kwargs) {
  absl::StatusOr<BertConfig> bert = BertConfig::From(config);
  if (!bert.ok()) return bert.status();
  absl::StatusOr<BertModelArguments> arguments =
      ReadBertModelArguments("BertModel", model_kwargs);
  if (!arguments.ok()) return arguments.status();
  return BertModelLayout(*bert, *arguments);
}

const bool kRegistered = RegisterLayout(&BertModelLayoutClass());

}  // namespace

ModelLayout BertModelLayout(const BertConfig& config,
                            const BertModelArguments& arguments) {
  ModelLayout layout{.class_name = "BertModel", .base_model_prefix = "bert"};
  ModuleNode& root = layout.tree.root;
  root.class_name = layout.class_name;
  root.children = {Embeddings(config), Encoder(config)};
  if (arguments.add_pooling_layer) root.children.push_back(Pooler(config));
  return layout;
}

absl::StatusOr<BertModelArguments> ReadBertModelArguments(
    absl::string_view class_name, const nlohmann::ordered_json& model_kwargs) {
  BertModelArguments arguments;
  for (const auto& [name, value] : model_kwargs.items()) {
    if (name != "add_pooling_layer" || !value.is_boolean()) {
      return absl::InvalidArgumentError(absl::StrCat(
          class_name, " has no argument ", name, "=", value.dump(),
          "; it takes add_pooling_layer=true|false, and config attributes"));
    }
    arguments.add_pooling_layer = value.get<bool>();
  }
  return arguments;
}

const LayoutClass& BertModelLayoutClass() {
  static const LayoutClass* const layout_class =
      new LayoutClass{.class_name = "BertModel",
                      .config_class = &BertConfigClass(),
                      .build = Build};
  static_cast<void>(kRegistered);
  return *layout_class;
}

}  // namespace pretrained
