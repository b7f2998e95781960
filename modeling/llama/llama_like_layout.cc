#include "modeling/llama/llama_like_layout.h"

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "device_map/module_tree.h"
#include "modeling/layout_nodes.h"
#include "modeling/llama/llama_config.h"
#include "modeling/model_layout.h"
#include "modeling/pretrained_config.h"
#include "modeling/rotary_options.h"

namespace pretrained {
namespace {

ModuleNode Norm(std::string name, absl::string_view family,
                const LlamaConfig& config) {
  return RmsNormNode(std::move(name), absl::StrCat(family, "RMSNorm"),
                     config.hidden_size);
}

ModuleNode Attention(absl::string_view family, const LlamaConfig& config,
                     int64_t layer) {
  const int64_t size = config.hidden_size;
  const int64_t query_size = config.num_heads(layer) * config.head_size();
  const int64_t key_size = config.num_key_heads(layer) * config.head_size();
  const bool bias = config.attention_bias;
  return {.name = "self_attn",
          .class_name = absl::StrCat(family, "Attention"),
          .children = {LinearNode("q_proj", size, query_size, bias),
                       LinearNode("k_proj", size, key_size, bias),
                       LinearNode("v_proj", size, key_size, bias),
                       LinearNode("o_proj", query_size, size, bias),
                       RotaryNode("rotary_emb", family, config.rotary)}};
}

ModuleNode FeedForward(absl::string_view family, const LlamaConfig& config) {
  const int64_t size = config.hidden_size;
  const int64_t inner = config.intermediate_size;
  return {.name = "mlp",
          .class_name = absl::StrCat(family, "MLP"),
          .children = {LinearNode("gate_proj", size, inner, /*bias=*/false),
                       LinearNode("up_proj", size, inner, /*bias=*/false),
                       LinearNode("down_proj", inner, size, /*bias=*/false),
                       ActivationNode("act_fn", config.hidden_act)}};
}

ModuleNode Layer(absl::string_view family, const LlamaConfig& config,
                 int64_t index) {
  return {.name = absl::StrCat(index),
          .class_name = absl::StrCat(family, "DecoderLayer"),
          .children = {Attention(family, config, index),
                       FeedForward(family, config),
                       Norm("input_layernorm", family, config),
                       Norm("post_attention_layernorm", family, config)}};
}

// What the classes have in common.
ModelLayout Layout(absl::string_view family, absl::string_view rest) {
  ModelLayout layout{
      .class_name = absl::StrCat(family, rest),
      .base_model_prefix = "model",
      .no_split_modules = {absl::StrCat(family, "DecoderLayer")}};
  layout.tree.root.class_name = layout.class_name;
  return layout;
}

ModuleNode BaseModel(absl::string_view family, const LlamaConfig& config) {
  ModuleNode root = LlamaLikeModelLayout(family, config).tree.root;
  root.name = "model";
  return root;
}

}  // namespace

ModelLayout LlamaLikeModelLayout(absl::string_view family,
                                 const LlamaConfig& config) {
  ModuleNode layers{.name = "layers", .class_name = "ModuleList"};
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    layers.children.push_back(Layer(family, config, i));
  }
  ModelLayout layout = Layout(family, "Model");
  layout.tree.root.children = {
      EmbeddingNode("embed_tokens", config.vocab_size, config.hidden_size),
      std::move(layers), Norm("norm", family, config)};
  return layout;
}

absl::StatusOr<ModelLayout> LlamaLikeForCausalLMLayout(
    absl::string_view family, const PretrainedConfig& config,
    const LlamaConfig& llama) {
  ModelLayout layout = Layout(family, "ForCausalLM");
  layout.can_generate = true;
  layout.tied_weights_keys = {"lm_head.weight"};
  layout.tree.root.children = {BaseModel(family, llama),
                               LinearNode("lm_head", llama.hidden_size,
                                          llama.vocab_size, /*bias=*/false)};
  absl::Status status = TieWordEmbeddings(config, "model.embed_tokens.weight",
                                          "lm_head.weight", layout);
  if (!status.ok()) return status;
  return layout;
}

ModelLayout LlamaLikeForSequenceClassificationLayout(absl::string_view family,
                                                     const LlamaConfig& config,
                                                     int64_t num_labels) {
  ModelLayout layout = Layout(family, "ForSequenceClassification");
  layout.tree.root.children = {
      BaseModel(family, config),
      LinearNode("score", config.hidden_size, num_labels, /*bias=*/false)};
  return layout;
}

}  // namespace pretrained
