#include "modeling/roberta/roberta_layout.h"

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "device_map/module_tree.h"
#include "modeling/bert/bert_heads_layout.h"
#include "modeling/bert/bert_layout.h"
#include "modeling/layout_nodes.h"
#include "modeling/model_layout.h"
#include "modeling/pretrained_config.h"
#include "modeling/roberta/roberta_config.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

// "BertLayer" as "RobertaLayer"; what is not BERT's stays as it is.
std::string OwnName(absl::string_view class_name) {
  if (!absl::ConsumePrefix(&class_name, "Bert")) return std::string(class_name);
  return absl::StrCat("Roberta", class_name);
}

void RenameClasses(ModuleNode& node) {
  node.class_name = OwnName(node.class_name);
  for (ModuleNode& child : node.children) RenameClasses(child);
}

// A layout of BERT's, without ties, as RoBERTa's.
ModelLayout AsRoberta(ModelLayout layout) {
  layout.class_name = OwnName(layout.class_name);
  layout.base_model_prefix = "roberta";
  layout.no_split_modules = {"RobertaEmbeddings", "RobertaSelfAttention"};
  RenameClasses(layout.tree.root);
  for (ModuleNode& child : layout.tree.root.children) {
    if (child.name == "bert") child.name = "roberta";
  }
  return layout;
}

// A model of that class that holds RobertaModel without a pooler, and `head`.
ModelLayout WithHead(absl::string_view class_name, const RobertaConfig& roberta,
                     ModuleNode head) {
  ModelLayout layout =
      RobertaModelLayout(roberta, {.add_pooling_layer = false});
  ModuleNode base = std::move(layout.tree.root);
  base.name = "roberta";
  layout.class_name = std::string(class_name);
  layout.tree.root = {.class_name = layout.class_name,
                      .children = {std::move(base), std::move(head)}};
  return layout;
}

// Scores of every token, whose matrix is the embeddings' if the config ties
// them, and whose bias has two names.
absl::StatusOr<ModelLayout> LanguageModel(absl::string_view class_name,
                                          const PretrainedConfig& config,
                                          const RobertaConfig& roberta) {
  const BertConfig& bert = roberta.encoder;
  ModuleNode head{
      .name = "lm_head",
      .class_name = "RobertaLMHead",
      .parameters = {{.name = "bias", .shape = {bert.vocab_size}}},
      .children = {LinearNode("dense", bert.hidden_size, bert.hidden_size),
                   LayerNormNode("layer_norm", bert.hidden_size),
                   LinearNode("decoder", bert.hidden_size, bert.vocab_size)}};
  ModelLayout layout = WithHead(class_name, roberta, std::move(head));
  layout.tied_weights_keys = {"lm_head.decoder.weight", "lm_head.decoder.bias"};
  absl::Status status =
      TieWordEmbeddings(config, "roberta.embeddings.word_embeddings.weight",
                        "lm_head.decoder.weight", layout);
  if (!status.ok()) return status;
  layout.tree.tied.push_back({"lm_head.bias", "lm_head.decoder.bias"});
  return layout;
}

absl::StatusOr<ModelLayout> BuildForCausalLM(const PretrainedConfig& config,
                                             const RobertaConfig& roberta) {
  absl::StatusOr<ModelLayout> layout =
      LanguageModel("RobertaForCausalLM", config, roberta);
  if (layout.ok()) layout->can_generate = true;
  return layout;
}

absl::StatusOr<ModelLayout> BuildForMaskedLM(const PretrainedConfig& config,
                                             const RobertaConfig& roberta) {
  return LanguageModel("RobertaForMaskedLM", config, roberta);
}

absl::StatusOr<ModelLayout> BuildForSequenceClassification(
    const PretrainedConfig& config, const RobertaConfig& roberta) {
  const BertConfig& bert = roberta.encoder;
  return WithHead(
      "RobertaForSequenceClassification", roberta,
      {.name = "classifier",
       .class_name = "RobertaClassificationHead",
       .children = {
           LinearNode("dense", bert.hidden_size, bert.hidden_size),
           DropoutNode("dropout"),
           LinearNode("out_proj", bert.hidden_size, bert.num_labels)}});
}

// The rest are BERT's.
template <absl::StatusOr<ModelLayout> (*build)(const PretrainedConfig&,
                                               const BertConfig&)>
absl::StatusOr<ModelLayout> BuildAsBert(const PretrainedConfig& config,
                                        const RobertaConfig& roberta) {
  absl::StatusOr<ModelLayout> layout = build(config, roberta.encoder);
  if (!layout.ok()) return layout.status();
  return AsRoberta(*std::move(layout));
}

constexpr auto* BuildForMultipleChoice =
    BuildAsBert<BertForMultipleChoiceLayout>;
constexpr auto* BuildForTokenClassification =
    BuildAsBert<BertForTokenClassificationLayout>;
constexpr auto* BuildForQuestionAnswering =
    BuildAsBert<BertForQuestionAnsweringLayout>;

absl::StatusOr<ModelLayout> BuildModel(
    const PretrainedConfig& config,
    const nlohmann::ordered_json& model_kwargs) {
  absl::StatusOr<RobertaConfig> roberta = RobertaConfig::From(config);
  if (!roberta.ok()) return roberta.status();
  absl::StatusOr<BertModelArguments> arguments =
      ReadBertModelArguments("RobertaModel", model_kwargs);
  if (!arguments.ok()) return arguments.status();
  return RobertaModelLayout(*roberta, *arguments);
}

}  // namespace

ModelLayout RobertaModelLayout(const RobertaConfig& config,
                               const BertModelArguments& arguments) {
  return AsRoberta(BertModelLayout(config.encoder, arguments));
}

const LayoutClass& RobertaModelLayoutClass() {
  static const LayoutClass* const layout_class =
      new LayoutClass{.class_name = "RobertaModel",
                      .config_class = &RobertaConfigClass(),
                      .build = BuildModel};
  return *layout_class;
}

const LayoutClass& RobertaForCausalLMLayoutClass() {
  static const LayoutClass* const layout_class =
      new LayoutClass(MakeLayoutClass<RobertaConfig>(
          "RobertaForCausalLM", RobertaConfigClass(), BuildForCausalLM));
  return *layout_class;
}

const LayoutClass& RobertaForMaskedLMLayoutClass() {
  static const LayoutClass* const layout_class =
      new LayoutClass(MakeLayoutClass<RobertaConfig>(
          "RobertaForMaskedLM", RobertaConfigClass(), BuildForMaskedLM));
  return *layout_class;
}

const LayoutClass& RobertaForSequenceClassificationLayoutClass() {
  static const LayoutClass* const layout_class =
      new LayoutClass(MakeLayoutClass<RobertaConfig>(
          "RobertaForSequenceClassification", RobertaConfigClass(),
          BuildForSequenceClassification));
  return *layout_class;
}

const LayoutClass& RobertaForMultipleChoiceLayoutClass() {
  static const LayoutClass* const layout_class =
      new LayoutClass(MakeLayoutClass<RobertaConfig>("RobertaForMultipleChoice",
                                                     RobertaConfigClass(),
                                                     BuildForMultipleChoice));
  return *layout_class;
}

const LayoutClass& RobertaForTokenClassificationLayoutClass() {
  static const LayoutClass* const layout_class =
      new LayoutClass(MakeLayoutClass<RobertaConfig>(
          "RobertaForTokenClassification", RobertaConfigClass(),
          BuildForTokenClassification));
  return *layout_class;
}

const LayoutClass& RobertaForQuestionAnsweringLayoutClass() {
  static const LayoutClass* const layout_class =
      new LayoutClass(MakeLayoutClass<RobertaConfig>(
          "RobertaForQuestionAnswering", RobertaConfigClass(),
          BuildForQuestionAnswering));
  return *layout_class;
}

namespace {

[[maybe_unused]] const bool kRegistered =
    RegisterLayout(&RobertaModelLayoutClass()) &&
    RegisterLayout(&RobertaForCausalLMLayoutClass()) &&
    RegisterLayout(&RobertaForMaskedLMLayoutClass()) &&
    RegisterLayout(&RobertaForSequenceClassificationLayoutClass()) &&
    RegisterLayout(&RobertaForMultipleChoiceLayoutClass()) &&
    RegisterLayout(&RobertaForTokenClassificationLayoutClass()) &&
    RegisterLayout(&RobertaForQuestionAnsweringLayoutClass());

}  // namespace

}  // namespace pretrained
