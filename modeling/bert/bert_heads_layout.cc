#include "modeling/bert/bert_heads_layout.h"

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "device_map/module_tree.h"
#include "modeling/bert/bert_config.h"
#include "modeling/bert/bert_layout.h"
#include "modeling/layout_nodes.h"
#include "modeling/model_layout.h"
#include "modeling/pretrained_config.h"

namespace pretrained {
namespace {

constexpr int64_t kSentenceRelations = 2;  // Follows, or does not.

// A model that holds BertModel, and nothing else yet.
ModelLayout WithBert(absl::string_view class_name, const BertConfig& bert,
                     bool add_pooling_layer) {
  ModelLayout layout =
      BertModelLayout(bert, {.add_pooling_layer = add_pooling_layer});
  ModuleNode base = std::move(layout.tree.root);
  base.name = "bert";
  layout.class_name = std::string(class_name);
  layout.tree.root = {.class_name = layout.class_name,
                      .children = {std::move(base)}};
  return layout;
}

// States to scores of every token of the vocabulary.
ModuleNode Predictions(const BertConfig& bert) {
  ModuleNode transform{
      .name = "transform",
      .class_name = "BertPredictionHeadTransform",
      .children = {LinearNode("dense", bert.hidden_size, bert.hidden_size),
                   ActivationNode("transform_act_fn", bert.hidden_act),
                   LayerNormNode("LayerNorm", bert.hidden_size)}};
  return {
      .name = "predictions",
      .class_name = "BertLMPredictionHead",
      .parameters = {{.name = "bias", .shape = {bert.vocab_size}}},
      .children = {std::move(transform),
                   LinearNode("decoder", bert.hidden_size, bert.vocab_size)}};
}

ModuleNode SentenceRelation(const BertConfig& bert) {
  return LinearNode("seq_relationship", bert.hidden_size, kSentenceRelations);
}

// Says what Predictions() ties, in a head called "cls".
absl::StatusOr<ModelLayout> TiePredictions(const PretrainedConfig& config,
                                           ModelLayout layout) {
  layout.tied_weights_keys = {"predictions.decoder.bias",
                              "cls.predictions.decoder.weight"};
  absl::Status status =
      TieWordEmbeddings(config, "bert.embeddings.word_embeddings.weight",
                        "cls.predictions.decoder.weight", layout);
  if (!status.ok()) return status;
  layout.tree.tied.push_back(
      {"cls.predictions.bias", "cls.predictions.decoder.bias"});
  return layout;
}

absl::StatusOr<ModelLayout> LanguageModel(absl::string_view class_name,
                                          const PretrainedConfig& config,
                                          const BertConfig& bert) {
  ModelLayout layout = WithBert(class_name, bert, /*add_pooling_layer=*/false);
  layout.can_generate = true;
  layout.tree.root.children.push_back({.name = "cls",
                                       .class_name = "BertOnlyMLMHead",
                                       .children = {Predictions(bert)}});
  return TiePredictions(config, std::move(layout));
}

// Dropout, and a matrix with a row for each label.
ModelLayout Classifier(absl::string_view class_name, const BertConfig& bert,
                       bool add_pooling_layer, int64_t num_labels) {
  ModelLayout layout = WithBert(class_name, bert, add_pooling_layer);
  auto& children = layout.tree.root.children;
  children.push_back(DropoutNode("dropout"));
  children.push_back(LinearNode("classifier", bert.hidden_size, num_labels));
  return layout;
}

}  // namespace

absl::StatusOr<ModelLayout> BertForPreTrainingLayout(
    const PretrainedConfig& config, const BertConfig& bert) {
  ModelLayout layout = WithBert("BertForPreTraining", bert, true);
  layout.tree.root.children.push_back(
      {.name = "cls",
       .class_name = "BertPreTrainingHeads",
       .children = {Predictions(bert), SentenceRelation(bert)}});
  return TiePredictions(config, std::move(layout));
}

absl::StatusOr<ModelLayout> BertLMHeadModelLayout(
    const PretrainedConfig& config, const BertConfig& bert) {
  return LanguageModel("BertLMHeadModel", config, bert);
}

absl::StatusOr<ModelLayout> BertForMaskedLMLayout(
    const PretrainedConfig& config, const BertConfig& bert) {
  return LanguageModel("BertForMaskedLM", config, bert);
}

absl::StatusOr<ModelLayout> BertForNextSentencePredictionLayout(
    const PretrainedConfig& config, const BertConfig& bert) {
  ModelLayout layout = WithBert("BertForNextSentencePrediction", bert, true);
  layout.tree.root.children.push_back({.name = "cls",
                                       .class_name = "BertOnlyNSPHead",
                                       .children = {SentenceRelation(bert)}});
  return layout;
}

absl::StatusOr<ModelLayout> BertForSequenceClassificationLayout(
    const PretrainedConfig& config, const BertConfig& bert) {
  return Classifier("BertForSequenceClassification", bert,
                    /*add_pooling_layer=*/true, bert.num_labels);
}

absl::StatusOr<ModelLayout> BertForMultipleChoiceLayout(
    const PretrainedConfig& config, const BertConfig& bert) {
  // One number for each choice.
  return Classifier("BertForMultipleChoice", bert, /*add_pooling_layer=*/true,
                    1);
}

absl::StatusOr<ModelLayout> BertForTokenClassificationLayout(
    const PretrainedConfig& config, const BertConfig& bert) {
  return Classifier("BertForTokenClassification", bert,
                    /*add_pooling_layer=*/false, bert.num_labels);
}

absl::StatusOr<ModelLayout> BertForQuestionAnsweringLayout(
    const PretrainedConfig& config, const BertConfig& bert) {
  ModelLayout layout = WithBert("BertForQuestionAnswering", bert, false);
  layout.tree.root.children.push_back(
      LinearNode("qa_outputs", bert.hidden_size, bert.num_labels));
  return layout;
}

namespace {

using BuildFunction = absl::StatusOr<ModelLayout> (*)(const PretrainedConfig&,
                                                      const BertConfig&);

const LayoutClass* NewClass(absl::string_view class_name, BuildFunction build) {
  return new LayoutClass(
      MakeLayoutClass(std::string(class_name), BertConfigClass(), build));
}

}  // namespace

const LayoutClass& BertForPreTrainingLayoutClass() {
  static const LayoutClass* const layout =
      NewClass("BertForPreTraining", BertForPreTrainingLayout);
  return *layout;
}

const LayoutClass& BertLMHeadModelLayoutClass() {
  static const LayoutClass* const layout =
      NewClass("BertLMHeadModel", BertLMHeadModelLayout);
  return *layout;
}

const LayoutClass& BertForMaskedLMLayoutClass() {
  static const LayoutClass* const layout =
      NewClass("BertForMaskedLM", BertForMaskedLMLayout);
  return *layout;
}

const LayoutClass& BertForNextSentencePredictionLayoutClass() {
  static const LayoutClass* const layout = NewClass(
      "BertForNextSentencePrediction", BertForNextSentencePredictionLayout);
  return *layout;
}

const LayoutClass& BertForSequenceClassificationLayoutClass() {
  static const LayoutClass* const layout = NewClass(
      "BertForSequenceClassification", BertForSequenceClassificationLayout);
  return *layout;
}

const LayoutClass& BertForMultipleChoiceLayoutClass() {
  static const LayoutClass* const layout =
      NewClass("BertForMultipleChoice", BertForMultipleChoiceLayout);
  return *layout;
}

const LayoutClass& BertForTokenClassificationLayoutClass() {
  static const LayoutClass* const layout =
      NewClass("BertForTokenClassification", BertForTokenClassificationLayout);
  return *layout;
}

const LayoutClass& BertForQuestionAnsweringLayoutClass() {
  static const LayoutClass* const layout =
      NewClass("BertForQuestionAnswering", BertForQuestionAnsweringLayout);
  return *layout;
}

namespace {

const bool kRegistered =
    RegisterLayout(&BertForPreTrainingLayoutClass()) &&
    RegisterLayout(&BertLMHeadModelLayoutClass()) &&
    RegisterLayout(&BertForMaskedLMLayoutClass()) &&
    RegisterLayout(&BertForNextSentencePredictionLayoutClass()) &&
    RegisterLayout(&BertForSequenceClassificationLayoutClass()) &&
    RegisterLayout(&BertForMultipleChoiceLayoutClass()) &&
    RegisterLayout(&BertForTokenClassificationLayoutClass()) &&
    RegisterLayout(&BertForQuestionAnsweringLayoutClass());

}  // namespace

}  // namespace pretrained
