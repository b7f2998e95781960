#include "modeling/bloom/bloom_layout.h"

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "device_map/module_tree.h"
#include "modeling/bloom/bloom_config.h"
#include "modeling/layout_nodes.h"
#include "modeling/model_layout.h"
#include "modeling/pretrained_config.h"

namespace pretrained {
namespace {

// Of heads that have `inner` numbers together.
ModuleNode Attention(int64_t size, int64_t inner) {
  return {.name = "self_attention",
          .class_name = "BloomAttention",
          .children = {LinearNode("query_key_value", size, 3 * inner),
                       LinearNode("dense", inner, size),
                       DropoutNode("attention_dropout")}};
}

ModuleNode FeedForward(int64_t size) {
  return {.name = "mlp",
          .class_name = "BloomMLP",
          .children = {LinearNode("dense_h_to_4h", size, 4 * size),
                       {.name = "gelu_impl", .class_name = "BloomGelu"},
                       LinearNode("dense_4h_to_h", 4 * size, size)}};
}

ModuleNode Block(const BloomConfig& config, int64_t index) {
  const int64_t size = config.hidden_size;
  const int64_t inner = config.num_heads(index) * config.head_size();
  return {.name = absl::StrCat(index),
          .class_name = "BloomBlock",
          .children = {LayerNormNode("input_layernorm", size),
                       Attention(size, inner),
                       LayerNormNode("post_attention_layernorm", size),
                       FeedForward(size)}};
}

// What the classes have in common.
ModelLayout Layout(std::string class_name) {
  ModelLayout layout{.class_name = std::move(class_name),
                     .base_model_prefix = "transformer",
                     .no_split_modules = {"BloomBlock"}};
  layout.tree.root.class_name = layout.class_name;
  return layout;
}

// A base model without the head that goes on top of it.
ModelLayout HeadLayout(std::string class_name, const BloomConfig& bloom) {
  ModelLayout layout = Layout(std::move(class_name));
  layout.tree.root.children = {BloomModelLayout(bloom).tree.root};
  layout.tree.root.children[0].name = "transformer";
  return layout;
}

absl::StatusOr<ModelLayout> BuildModel(const PretrainedConfig& config,
                                       const BloomConfig& bloom) {
  return BloomModelLayout(bloom);
}

absl::StatusOr<ModelLayout> BuildForCausalLM(const PretrainedConfig& config,
                                             const BloomConfig& bloom) {
  ModelLayout layout = HeadLayout("BloomForCausalLM", bloom);
  layout.can_generate = true;
  layout.tied_weights_keys = {"lm_head.weight"};
  layout.tree.root.children.push_back(LinearNode(
      "lm_head", bloom.hidden_size, bloom.vocab_size, /*bias=*/false));
  absl::Status status = TieWordEmbeddings(
      config, "transformer.word_embeddings.weight", "lm_head.weight", layout);
  if (!status.ok()) return status;
  return layout;
}

absl::StatusOr<ModelLayout> BuildForSequenceClassification(
    const PretrainedConfig& config, const BloomConfig& bloom) {
  ModelLayout layout = HeadLayout("BloomForSequenceClassification", bloom);
  layout.tree.root.children.push_back(
      LinearNode("score", bloom.hidden_size, bloom.num_labels, /*bias=*/false));
  return layout;
}

absl::StatusOr<ModelLayout> BuildForTokenClassification(
    const PretrainedConfig& config, const BloomConfig& bloom) {
  ModelLayout layout = HeadLayout("BloomForTokenClassification", bloom);
  layout.tree.root.children.push_back(DropoutNode("dropout"));
  layout.tree.root.children.push_back(
      LinearNode("classifier", bloom.hidden_size, bloom.num_labels));
  return layout;
}

absl::StatusOr<ModelLayout> BuildForQuestionAnswering(
    const PretrainedConfig& config, const BloomConfig& bloom) {
  ModelLayout layout = HeadLayout("BloomForQuestionAnswering", bloom);
  layout.tree.root.children.push_back(
      LinearNode("qa_outputs", bloom.hidden_size, 2));
  return layout;
}

}  // namespace

ModelLayout BloomModelLayout(const BloomConfig& config) {
  ModuleNode blocks{.name = "h", .class_name = "ModuleList"};
  for (int64_t i = 0; i < config.n_layer; ++i) {
    blocks.children.push_back(Block(config, i));
  }
  ModelLayout layout = Layout("BloomModel");
  layout.tree.root.children = {
      EmbeddingNode("word_embeddings", config.vocab_size, config.hidden_size),
      LayerNormNode("word_embeddings_layernorm", config.hidden_size),
      std::move(blocks), LayerNormNode("ln_f", config.hidden_size)};
  return layout;
}

const LayoutClass& BloomModelLayoutClass() {
  static const LayoutClass* const layout_class =
      new LayoutClass(MakeLayoutClass<BloomConfig>(
          "BloomModel", BloomConfigClass(), BuildModel));
  return *layout_class;
}

const LayoutClass& BloomForCausalLMLayoutClass() {
  static const LayoutClass* const layout_class =
      new LayoutClass(MakeLayoutClass<BloomConfig>(
          "BloomForCausalLM", BloomConfigClass(), BuildForCausalLM));
  return *layout_class;
}

const LayoutClass& BloomForSequenceClassificationLayoutClass() {
  static const LayoutClass* const layout_class =
      new LayoutClass(MakeLayoutClass<BloomConfig>(
          "BloomForSequenceClassification", BloomConfigClass(),
          BuildForSequenceClassification));
  return *layout_class;
}

const LayoutClass& BloomForTokenClassificationLayoutClass() {
  static const LayoutClass* const layout_class =
      new LayoutClass(MakeLayoutClass<BloomConfig>(
          "BloomForTokenClassification", BloomConfigClass(),
          BuildForTokenClassification));
  return *layout_class;
}

const LayoutClass& BloomForQuestionAnsweringLayoutClass() {
  static const LayoutClass* const layout_class =
      new LayoutClass(MakeLayoutClass<BloomConfig>("BloomForQuestionAnswering",
                                                   BloomConfigClass(),
                                                   BuildForQuestionAnswering));
  return *layout_class;
}

namespace {

[[maybe_unused]] const bool kRegistered =
    RegisterLayout(&BloomModelLayoutClass()) &&
    RegisterLayout(&BloomForCausalLMLayoutClass()) &&
    RegisterLayout(&BloomForSequenceClassificationLayoutClass()) &&
    RegisterLayout(&BloomForTokenClassificationLayoutClass()) &&
    RegisterLayout(&BloomForQuestionAnsweringLayoutClass());

}  // namespace

}  // namespace pretrained
