#include "modeling/gpt2/gpt2_layout.h"

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "device_map/module_tree.h"
#include "modeling/gpt2/gpt2_config.h"
#include "modeling/layout_nodes.h"
#include "modeling/model_layout.h"
#include "modeling/pretrained_config.h"

namespace pretrained {
namespace {

// Of `heads` heads.
ModuleNode Attention(std::string name, const GPT2Config& config, int64_t heads,
                     bool is_cross_attention) {
  const int64_t size = config.n_embd;
  const int64_t inner = heads * config.head_size();
  const TensorSpec causal = {
      .name = "bias",
      .shape = {1, 1, config.n_positions, config.n_positions},
      .dtype = Dtype::kBool,
      .persistent = false};
  const TensorSpec masked = {
      .name = "masked_bias", .shape = {}, .persistent = false};
  ModuleNode node{.name = std::move(name),
                  .class_name = "GPT2Attention",
                  .buffers = {causal, masked}};
  if (is_cross_attention) {
    node.children = {Conv1DNode("c_attn", size, 2 * inner),
                     Conv1DNode("q_attn", size, inner)};
  } else {
    node.children = {Conv1DNode("c_attn", size, 3 * inner)};
  }
  node.children.push_back(Conv1DNode("c_proj", inner, size));
  node.children.push_back(DropoutNode("attn_dropout"));
  node.children.push_back(DropoutNode("resid_dropout"));
  return node;
}

ModuleNode Mlp(const GPT2Config& config) {
  return {.name = "mlp",
          .class_name = "GPT2MLP",
          .children = {Conv1DNode("c_fc", config.n_embd, config.inner_size()),
                       Conv1DNode("c_proj", config.inner_size(), config.n_embd),
                       ActivationNode("act", config.activation_function),
                       DropoutNode("dropout")}};
}

ModuleNode Block(const GPT2Config& config, int64_t index) {
  ModuleNode block{
      .name = absl::StrCat(index),
      .class_name = "GPT2Block",
      .children = {LayerNormNode("ln_1", config.n_embd),
                   Attention("attn", config, config.num_heads(index),
                             /*is_cross_attention=*/false),
                   LayerNormNode("ln_2", config.n_embd)}};
  if (config.add_cross_attention) {
    block.children.push_back(Attention("crossattention", config, config.n_head,
                                       /*is_cross_attention=*/true));
    block.children.push_back(LayerNormNode("ln_cross_attn", config.n_embd));
  }
  block.children.push_back(Mlp(config));
  return block;
}

ModuleNode Model(std::string name, const GPT2Config& config) {
  ModuleNode blocks{.name = "h", .class_name = "ModuleList"};
  for (int64_t i = 0; i < config.n_layer; ++i) {
    blocks.children.push_back(Block(config, i));
  }
  return {.name = std::move(name),
          .class_name = "GPT2Model",
          .children = {EmbeddingNode("wte", config.vocab_size, config.n_embd),
                       EmbeddingNode("wpe", config.n_positions, config.n_embd),
                       DropoutNode("drop"), std::move(blocks),
                       LayerNormNode("ln_f", config.n_embd)}};
}

// What the classes have in common.
ModelLayout Facts(std::string class_name) {
  return {.class_name = std::move(class_name),
          .base_model_prefix = "transformer",
          .is_parallelizable = true,
          .no_split_modules = {"GPT2Block"}};
}

// A base model, and a matrix on top of it.
ModelLayout WithHead(std::string class_name, const GPT2Config& gpt2,
                     ModuleNode head) {
  ModelLayout layout = Facts(std::move(class_name));
  layout.tree.root = {
      .class_name = layout.class_name,
      .children = {Model("transformer", gpt2), std::move(head)}};
  return layout;
}

const bool kRegistered =
    RegisterLayout(&GPT2ModelLayoutClass()) &&
    RegisterLayout(&GPT2LMHeadModelLayoutClass()) &&
    RegisterLayout(&GPT2ForSequenceClassificationLayoutClass());

}  // namespace

absl::StatusOr<ModelLayout> GPT2ModelLayout(const PretrainedConfig& config,
                                            const GPT2Config& gpt2) {
  ModelLayout layout = Facts("GPT2Model");
  layout.tree.root = Model("", gpt2);
  return layout;
}

absl::StatusOr<ModelLayout> GPT2LMHeadModelLayout(
    const PretrainedConfig& config, const GPT2Config& gpt2) {
  ModelLayout layout = WithHead(
      "GPT2LMHeadModel", gpt2,
      LinearNode("lm_head", gpt2.n_embd, gpt2.vocab_size, /*bias=*/false));
  layout.can_generate = true;
  layout.tied_weights_keys = {"lm_head.weight"};
  absl::Status status = TieWordEmbeddings(config, "transformer.wte.weight",
                                          "lm_head.weight", layout);
  if (!status.ok()) return status;
  return layout;
}

absl::StatusOr<ModelLayout> GPT2ForSequenceClassificationLayout(
    const PretrainedConfig& config, const GPT2Config& gpt2) {
  return WithHead(
      "GPT2ForSequenceClassification", gpt2,
      LinearNode("score", gpt2.n_embd, gpt2.num_labels, /*bias=*/false));
}

const LayoutClass& GPT2ModelLayoutClass() {
  static const LayoutClass* const layout_class = new LayoutClass(
      MakeLayoutClass("GPT2Model", GPT2ConfigClass(), GPT2ModelLayout));
  static_cast<void>(kRegistered);
  return *layout_class;
}

const LayoutClass& GPT2LMHeadModelLayoutClass() {
  static const LayoutClass* const layout_class =
      new LayoutClass(MakeLayoutClass("GPT2LMHeadModel", GPT2ConfigClass(),
                                      GPT2LMHeadModelLayout));
  return *layout_class;
}

const LayoutClass& GPT2ForSequenceClassificationLayoutClass() {
  static const LayoutClass* const layout_class = new LayoutClass(
      MakeLayoutClass("GPT2ForSequenceClassification", GPT2ConfigClass(),
                      GPT2ForSequenceClassificationLayout));
  return *layout_class;
}

}  // namespace pretrained
