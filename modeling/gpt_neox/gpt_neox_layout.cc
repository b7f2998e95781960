#include "modeling/gpt_neox/gpt_neox_layout.h"

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "device_map/module_tree.h"
#include "dtypes/dtype.h"
#include "modeling/gpt_neox/gpt_neox_config.h"
#include "modeling/layout_nodes.h"
#include "modeling/model_layout.h"
#include "modeling/pretrained_config.h"
#include "modeling/rotary_options.h"

namespace pretrained {
namespace {

ModuleNode Attention(const GPTNeoXConfig& config, int64_t layer) {
  const int64_t size = config.hidden_size;
  const int64_t inner = config.num_heads(layer) * config.head_size();
  const int64_t positions = config.max_position_embeddings;
  const TensorSpec causal = {.name = "bias",
                             .shape = {1, 1, positions, positions},
                             .dtype = Dtype::kBool,
                             .persistent = false};
  const TensorSpec masked = {
      .name = "masked_bias", .shape = {}, .persistent = false};
  return {.name = "attention",
          .class_name = "GPTNeoXAttention",
          .buffers = {causal, masked},
          .children = {RotaryNode("rotary_emb", "GPTNeoX", config.rotary),
                       LinearNode("query_key_value", size, 3 * inner),
                       LinearNode("dense", inner, size),
                       DropoutNode("attention_dropout")}};
}

ModuleNode FeedForward(const GPTNeoXConfig& config) {
  const int64_t size = config.hidden_size;
  const int64_t inner = config.intermediate_size;
  return {.name = "mlp",
          .class_name = "GPTNeoXMLP",
          .children = {LinearNode("dense_h_to_4h", size, inner),
                       LinearNode("dense_4h_to_h", inner, size),
                       ActivationNode("act", config.hidden_act)}};
}

ModuleNode Layer(const GPTNeoXConfig& config, int64_t index) {
  return {.name = absl::StrCat(index),
          .class_name = "GPTNeoXLayer",
          .children = {
              LayerNormNode("input_layernorm", config.hidden_size),
              LayerNormNode("post_attention_layernorm", config.hidden_size),
              DropoutNode("post_attention_dropout"),
              DropoutNode("post_mlp_dropout"), Attention(config, index),
              FeedForward(config)}};
}

// What the classes have in common.
ModelLayout Layout(std::string class_name) {
  ModelLayout layout{.class_name = std::move(class_name),
                     .base_model_prefix = "gpt_neox",
                     .no_split_modules = {"GPTNeoXLayer"}};
  layout.tree.root.class_name = layout.class_name;
  return layout;
}

// A base model without the head that goes on top of it.
ModelLayout HeadLayout(std::string class_name, const GPTNeoXConfig& neox) {
  ModelLayout layout = Layout(std::move(class_name));
  layout.tree.root.children = {GPTNeoXModelLayout(neox).tree.root};
  layout.tree.root.children[0].name = "gpt_neox";
  return layout;
}

absl::StatusOr<ModelLayout> BuildModel(const PretrainedConfig& config,
                                       const GPTNeoXConfig& neox) {
  return GPTNeoXModelLayout(neox);
}

absl::StatusOr<ModelLayout> BuildForCausalLM(const PretrainedConfig& config,
                                             const GPTNeoXConfig& neox) {
  ModelLayout layout = HeadLayout("GPTNeoXForCausalLM", neox);
  layout.can_generate = true;
  layout.tied_weights_keys = {"embed_out.weight"};
  layout.tree.root.children.push_back(LinearNode(
      "embed_out", neox.hidden_size, neox.vocab_size, /*bias=*/false));
  absl::Status status = TieWordEmbeddings(config, "gpt_neox.embed_in.weight",
                                          "embed_out.weight", layout);
  if (!status.ok()) return status;
  return layout;
}

absl::StatusOr<ModelLayout> BuildForSequenceClassification(
    const PretrainedConfig& config, const GPTNeoXConfig& neox) {
  ModelLayout layout = HeadLayout("GPTNeoXForSequenceClassification", neox);
  layout.tree.root.children.push_back(
      LinearNode("score", neox.hidden_size, neox.num_labels, /*bias=*/false));
  return layout;
}

absl::StatusOr<ModelLayout> BuildForTokenClassification(
    const PretrainedConfig& config, const GPTNeoXConfig& neox) {
  ModelLayout layout = HeadLayout("GPTNeoXForTokenClassification", neox);
  layout.tree.root.children.push_back(DropoutNode("dropout"));
  layout.tree.root.children.push_back(
      LinearNode("classifier", neox.hidden_size, neox.num_labels));
  return layout;
}

absl::StatusOr<ModelLayout> BuildForQuestionAnswering(
    const PretrainedConfig& config, const GPTNeoXConfig& neox) {
  ModelLayout layout = HeadLayout("GPTNeoXForQuestionAnswering", neox);
  layout.tree.root.children.push_back(
      LinearNode("qa_outputs", neox.hidden_size, 2));
  return layout;
}

}  // namespace

ModelLayout GPTNeoXModelLayout(const GPTNeoXConfig& config) {
  ModuleNode layers{.name = "layers", .class_name = "ModuleList"};
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    layers.children.push_back(Layer(config, i));
  }
  ModelLayout layout = Layout("GPTNeoXModel");
  layout.tree.root.children = {
      EmbeddingNode("embed_in", config.vocab_size, config.hidden_size),
      DropoutNode("emb_dropout"), std::move(layers),
      LayerNormNode("final_layer_norm", config.hidden_size)};
  return layout;
}

const LayoutClass& GPTNeoXModelLayoutClass() {
  static const LayoutClass* const layout_class =
      new LayoutClass(MakeLayoutClass<GPTNeoXConfig>(
          "GPTNeoXModel", GPTNeoXConfigClass(), BuildModel));
  return *layout_class;
}

const LayoutClass& GPTNeoXForCausalLMLayoutClass() {
  static const LayoutClass* const layout_class =
      new LayoutClass(MakeLayoutClass<GPTNeoXConfig>(
          "GPTNeoXForCausalLM", GPTNeoXConfigClass(), BuildForCausalLM));
  return *layout_class;
}

const LayoutClass& GPTNeoXForSequenceClassificationLayoutClass() {
  static const LayoutClass* const layout_class =
      new LayoutClass(MakeLayoutClass<GPTNeoXConfig>(
          "GPTNeoXForSequenceClassification", GPTNeoXConfigClass(),
          BuildForSequenceClassification));
  return *layout_class;
}

const LayoutClass& GPTNeoXForTokenClassificationLayoutClass() {
  static const LayoutClass* const layout_class =
      new LayoutClass(MakeLayoutClass<GPTNeoXConfig>(
          "GPTNeoXForTokenClassification", GPTNeoXConfigClass(),
          BuildForTokenClassification));
  return *layout_class;
}

const LayoutClass& GPTNeoXForQuestionAnsweringLayoutClass() {
  static const LayoutClass* const layout_class =
      new LayoutClass(MakeLayoutClass<GPTNeoXConfig>(
          "GPTNeoXForQuestionAnswering", GPTNeoXConfigClass(),
          BuildForQuestionAnswering));
  return *layout_class;
}

namespace {

[[maybe_unused]] const bool kRegistered =
    RegisterLayout(&GPTNeoXModelLayoutClass()) &&
    RegisterLayout(&GPTNeoXForCausalLMLayoutClass()) &&
    RegisterLayout(&GPTNeoXForSequenceClassificationLayoutClass()) &&
    RegisterLayout(&GPTNeoXForTokenClassificationLayoutClass()) &&
    RegisterLayout(&GPTNeoXForQuestionAnsweringLayoutClass());

}  // namespace

}  // namespace pretrained
