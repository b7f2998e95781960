#include "modeling/llama/llama_layout.h"

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "device_map/module_tree.h"
#include "modeling/layout_nodes.h"
#include "modeling/llama/llama_config.h"
#include "modeling/model_layout.h"
#include "modeling/pretrained_config.h"
#include "modeling/rotary_options.h"

namespace pretrained {
namespace {

ModuleNode Norm(std::string name, const LlamaConfig& config) {
  return RmsNormNode(std::move(name), "LlamaRMSNorm", config.hidden_size);
}

ModuleNode Attention(const LlamaConfig& config) {
  const int64_t size = config.hidden_size;
  const int64_t key_size = config.num_key_value_heads * config.head_size();
  const bool bias = config.attention_bias;
  return {.name = "self_attn",
          .class_name = "LlamaAttention",
          .children = {LinearNode("q_proj", size, size, bias),
                       LinearNode("k_proj", size, key_size, bias),
                       LinearNode("v_proj", size, key_size, bias),
                       LinearNode("o_proj", size, size, bias),
                       RotaryNode("rotary_emb", "Llama", config.rotary)}};
}

ModuleNode FeedForward(const LlamaConfig& config) {
  const int64_t size = config.hidden_size;
  const int64_t inner = config.intermediate_size;
  return {.name = "mlp",
          .class_name = "LlamaMLP",
          .children = {LinearNode("gate_proj", size, inner, /*bias=*/false),
                       LinearNode("up_proj", size, inner, /*bias=*/false),
                       LinearNode("down_proj", inner, size, /*bias=*/false),
                       ActivationNode("act_fn", config.hidden_act)}};
}

ModuleNode Layer(const LlamaConfig& config, int64_t index) {
  return {.name = absl::StrCat(index),
          .class_name = "LlamaDecoderLayer",
          .children = {Attention(config), FeedForward(config),
                       Norm("input_layernorm", config),
                       Norm("post_attention_layernorm", config)}};
}

// What the classes have in common.
ModelLayout Layout(std::string class_name) {
  ModelLayout layout{.class_name = std::move(class_name),
                     .base_model_prefix = "model",
                     .no_split_modules = {"LlamaDecoderLayer"}};
  layout.tree.root.class_name = layout.class_name;
  return layout;
}

ModuleNode BaseModel(const LlamaConfig& config) {
  ModuleNode root = LlamaModelLayout(config).tree.root;
  root.name = "model";
  return root;
}

absl::StatusOr<ModelLayout> BuildModel(const PretrainedConfig& config,
                                       const LlamaConfig& llama) {
  return LlamaModelLayout(llama);
}

absl::StatusOr<ModelLayout> BuildForSequenceClassification(
    const PretrainedConfig& config, const LlamaConfig& llama) {
  return LlamaForSequenceClassificationLayout(llama, config.num_labels());
}

}  // namespace

ModelLayout LlamaModelLayout(const LlamaConfig& config) {
  ModuleNode layers{.name = "layers", .class_name = "ModuleList"};
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    layers.children.push_back(Layer(config, i));
  }
  ModelLayout layout = Layout("LlamaModel");
  layout.tree.root.children = {
      EmbeddingNode("embed_tokens", config.vocab_size, config.hidden_size),
      std::move(layers), Norm("norm", config)};
  return layout;
}

absl::StatusOr<ModelLayout> LlamaForCausalLMLayout(
    const PretrainedConfig& config, const LlamaConfig& llama) {
  ModelLayout layout = Layout("LlamaForCausalLM");
  layout.can_generate = true;
  layout.tied_weights_keys = {"lm_head.weight"};
  layout.tree.root.children = {BaseModel(llama),
                               LinearNode("lm_head", llama.hidden_size,
                                          llama.vocab_size, /*bias=*/false)};
  absl::Status status = TieWordEmbeddings(config, "model.embed_tokens.weight",
                                          "lm_head.weight", layout);
  if (!status.ok()) return status;
  return layout;
}

ModelLayout LlamaForSequenceClassificationLayout(const LlamaConfig& config,
                                                 int64_t num_labels) {
  ModelLayout layout = Layout("LlamaForSequenceClassification");
  layout.tree.root.children = {
      BaseModel(config),
      LinearNode("score", config.hidden_size, num_labels, /*bias=*/false)};
  return layout;
}

const LayoutClass& LlamaModelLayoutClass() {
  static const LayoutClass* const layout_class =
      new LayoutClass(MakeLayoutClass<LlamaConfig>(
          "LlamaModel", LlamaConfigClass(), BuildModel));
  return *layout_class;
}

const LayoutClass& LlamaForCausalLMLayoutClass() {
  static const LayoutClass* const layout_class =
      new LayoutClass(MakeLayoutClass<LlamaConfig>(
          "LlamaForCausalLM", LlamaConfigClass(), LlamaForCausalLMLayout));
  return *layout_class;
}

const LayoutClass& LlamaForSequenceClassificationLayoutClass() {
  static const LayoutClass* const layout_class =
      new LayoutClass(MakeLayoutClass<LlamaConfig>(
          "LlamaForSequenceClassification", LlamaConfigClass(),
          BuildForSequenceClassification));
  return *layout_class;
}

namespace {

[[maybe_unused]] const bool kRegistered =
    RegisterLayout(&LlamaModelLayoutClass()) &&
    RegisterLayout(&LlamaForCausalLMLayoutClass()) &&
    RegisterLayout(&LlamaForSequenceClassificationLayoutClass());

}  // namespace

}  // namespace pretrained
