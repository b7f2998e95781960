#include "modeling/distilbert/distilbert_layout.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "device_map/module_tree.h"
#include "dtypes/dtype.h"
#include "modeling/distilbert/distilbert_config.h"
#include "modeling/layout_nodes.h"
#include "modeling/model_layout.h"
#include "modeling/pretrained_config.h"

namespace pretrained {
namespace {

ModuleNode Embeddings(const DistilBertConfig& config) {
  ModuleNode positions = EmbeddingNode(
      "position_embeddings", config.max_position_embeddings, config.dim);
  // Sines are not trained.
  positions.parameters[0].requires_grad = !config.sinusoidal_pos_embds;
  return {.name = "embeddings",
          .class_name = "Embeddings",
          .buffers = {{.name = "position_ids",
                       .shape = {1, config.max_position_embeddings},
                       .dtype = Dtype::kInt64,
                       .persistent = false}},
          .children = {
              EmbeddingNode("word_embeddings", config.vocab_size, config.dim),
              std::move(positions), LayerNormNode("LayerNorm", config.dim),
              DropoutNode("dropout")}};
}

ModuleNode Block(const DistilBertConfig& config, int64_t index) {
  const int64_t all_heads_size = config.num_heads(index) * config.head_size();
  ModuleNode attention{.name = "attention",
                       .class_name = "MultiHeadSelfAttention",
                       .children = {DropoutNode("dropout")}};
  for (const char* name : {"q_lin", "k_lin", "v_lin"}) {
    attention.children.push_back(LinearNode(name, config.dim, all_heads_size));
  }
  attention.children.push_back(
      LinearNode("out_lin", all_heads_size, config.dim));
  ModuleNode feed_forward{
      .name = "ffn",
      .class_name = "FFN",
      .children = {DropoutNode("dropout"),
                   LinearNode("lin1", config.dim, config.hidden_dim),
                   LinearNode("lin2", config.hidden_dim, config.dim),
                   ActivationNode("activation", config.activation)}};
  return {.name = absl::StrCat(index),
          .class_name = "TransformerBlock",
          .children = {std::move(attention),
                       LayerNormNode("sa_layer_norm", config.dim),
                       std::move(feed_forward),
                       LayerNormNode("output_layer_norm", config.dim)}};
}

// DistilBertModel, as its child "distilbert", between other children.
ModelLayout WithModel(absl::string_view class_name,
                      const DistilBertConfig& distil,
                      std::vector<ModuleNode> before,
                      std::vector<ModuleNode> after) {
  ModelLayout layout = DistilBertModelLayout(distil);
  ModuleNode base = std::move(layout.tree.root);
  base.name = "distilbert";
  layout.class_name = std::string(class_name);
  layout.tree.root = {.class_name = layout.class_name,
                      .children = std::move(before)};
  auto& children = layout.tree.root.children;
  children.push_back(std::move(base));
  for (ModuleNode& node : after) children.push_back(std::move(node));
  return layout;
}

absl::StatusOr<ModelLayout> BuildModel(const PretrainedConfig& config,
                                       const DistilBertConfig& distil) {
  return DistilBertModelLayout(distil);
}

absl::StatusOr<ModelLayout> BuildForMaskedLM(const PretrainedConfig& config,
                                             const DistilBertConfig& distil) {
  ModelLayout layout =
      WithModel("DistilBertForMaskedLM", distil,
                {ActivationNode("activation", distil.activation)},
                {LinearNode("vocab_transform", distil.dim, distil.dim),
                 LayerNormNode("vocab_layer_norm", distil.dim),
                 LinearNode("vocab_projector", distil.dim, distil.vocab_size),
                 {.name = "mlm_loss_fct", .class_name = "CrossEntropyLoss"}});
  layout.tied_weights_keys = {"vocab_projector.weight"};
  absl::Status status =
      TieWordEmbeddings(config, "distilbert.embeddings.word_embeddings.weight",
                        "vocab_projector.weight", layout);
  if (!status.ok()) return status;
  return layout;
}

// A projection, and a matrix with a row for each label, of the first token.
ModelLayout Classifier(absl::string_view class_name,
                       const DistilBertConfig& distil, int64_t num_labels) {
  return WithModel(class_name, distil, {},
                   {LinearNode("pre_classifier", distil.dim, distil.dim),
                    LinearNode("classifier", distil.dim, num_labels),
                    DropoutNode("dropout")});
}

absl::StatusOr<ModelLayout> BuildForSequenceClassification(
    const PretrainedConfig& config, const DistilBertConfig& distil) {
  return Classifier("DistilBertForSequenceClassification", distil,
                    distil.num_labels);
}

absl::StatusOr<ModelLayout> BuildForMultipleChoice(
    const PretrainedConfig& config, const DistilBertConfig& distil) {
  // One number for each choice.
  return Classifier("DistilBertForMultipleChoice", distil, 1);
}

absl::StatusOr<ModelLayout> BuildForTokenClassification(
    const PretrainedConfig& config, const DistilBertConfig& distil) {
  return WithModel("DistilBertForTokenClassification", distil, {},
                   {DropoutNode("dropout"),
                    LinearNode("classifier", distil.dim, distil.num_labels)});
}

absl::StatusOr<ModelLayout> BuildForQuestionAnswering(
    const PretrainedConfig& config, const DistilBertConfig& distil) {
  if (distil.num_labels != 2) {
    return absl::InvalidArgumentError(absl::StrCat(
        config.file_name(), ": num_labels, the entries of id2label, is ",
        distil.num_labels,
        ", but 2 is expected: one for where an answer starts, one for where it "
        "ends"));
  }
  return WithModel("DistilBertForQuestionAnswering", distil, {},
                   {LinearNode("qa_outputs", distil.dim, distil.num_labels),
                    DropoutNode("dropout")});
}

}  // namespace

ModelLayout DistilBertModelLayout(const DistilBertConfig& config) {
  ModelLayout layout{.class_name = "DistilBertModel",
                     .base_model_prefix = "distilbert"};
  ModuleNode layers{.name = "layer", .class_name = "ModuleList"};
  for (int64_t i = 0; i < config.n_layers; ++i) {
    layers.children.push_back(Block(config, i));
  }
  layout.tree.root = {.class_name = layout.class_name,
                      .children = {Embeddings(config),
                                   {.name = "transformer",
                                    .class_name = "Transformer",
                                    .children = {std::move(layers)}}}};
  return layout;
}

const LayoutClass& DistilBertModelLayoutClass() {
  static const LayoutClass* const layout_class =
      new LayoutClass(MakeLayoutClass<DistilBertConfig>(
          "DistilBertModel", DistilBertConfigClass(), BuildModel));
  return *layout_class;
}

const LayoutClass& DistilBertForMaskedLMLayoutClass() {
  static const LayoutClass* const layout_class =
      new LayoutClass(MakeLayoutClass<DistilBertConfig>(
          "DistilBertForMaskedLM", DistilBertConfigClass(), BuildForMaskedLM));
  return *layout_class;
}

const LayoutClass& DistilBertForSequenceClassificationLayoutClass() {
  static const LayoutClass* const layout_class =
      new LayoutClass(MakeLayoutClass<DistilBertConfig>(
          "DistilBertForSequenceClassification", DistilBertConfigClass(),
          BuildForSequenceClassification));
  return *layout_class;
}

const LayoutClass& DistilBertForMultipleChoiceLayoutClass() {
  static const LayoutClass* const layout_class =
      new LayoutClass(MakeLayoutClass<DistilBertConfig>(
          "DistilBertForMultipleChoice", DistilBertConfigClass(),
          BuildForMultipleChoice));
  return *layout_class;
}

const LayoutClass& DistilBertForTokenClassificationLayoutClass() {
  static const LayoutClass* const layout_class =
      new LayoutClass(MakeLayoutClass<DistilBertConfig>(
          "DistilBertForTokenClassification", DistilBertConfigClass(),
          BuildForTokenClassification));
  return *layout_class;
}

const LayoutClass& DistilBertForQuestionAnsweringLayoutClass() {
  static const LayoutClass* const layout_class =
      new LayoutClass(MakeLayoutClass<DistilBertConfig>(
          "DistilBertForQuestionAnswering", DistilBertConfigClass(),
          BuildForQuestionAnswering));
  return *layout_class;
}

namespace {

[[maybe_unused]] const bool kRegistered =
    RegisterLayout(&DistilBertModelLayoutClass()) &&
    RegisterLayout(&DistilBertForMaskedLMLayoutClass()) &&
    RegisterLayout(&DistilBertForSequenceClassificationLayoutClass()) &&
    RegisterLayout(&DistilBertForMultipleChoiceLayoutClass()) &&
    RegisterLayout(&DistilBertForTokenClassificationLayoutClass()) &&
    RegisterLayout(&DistilBertForQuestionAnsweringLayoutClass());

}  // namespace

}  // namespace pretrained
