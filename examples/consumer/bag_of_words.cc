#include "bag_of_words.h"

#include <utility>

#include "ATen/ops/mean.h"
#include "absl/status/status.h"
#include "modeling/auto_model.h"
#include "modeling/layout_nodes.h"
#include "modeling/named_inputs.h"
#include "modeling/weight_init.h"

namespace consumer {
namespace {

using pretrained::ModelLayout;
using pretrained::PretrainedConfig;

const pretrained::ConfigClass& BagOfWordsConfigClass() {
  static const auto* const config_class = new pretrained::ConfigClass{
      .model_type = "bag-of-words",
      .defaults = {{"vocab_size", 100}, {"hidden_size", 8}}};
  return *config_class;
}

// Every tensor's name and shape stands here, once.
absl::StatusOr<ModelLayout> Layout(const PretrainedConfig&,
                                   const BagOfWordsConfig& config) {
  return ModelLayout{
      .class_name = "BagOfWords",
      .base_model_prefix = "bag",
      .tree = {
          .root = {.class_name = "BagOfWords",
                   .children = {
                       pretrained::EmbeddingNode("words", config.vocab_size,
                                                 config.hidden_size),
                       pretrained::LinearNode("classifier", config.hidden_size,
                                              config.num_labels)}}}};
}

const pretrained::LayoutClass& BagOfWordsLayoutClass() {
  static const auto* const layout_class =
      new pretrained::LayoutClass(pretrained::MakeLayoutClass(
          "BagOfWords", BagOfWordsConfigClass(), Layout));
  return *layout_class;
}

}  // namespace

absl::StatusOr<BagOfWordsConfig> BagOfWordsConfig::From(
    const PretrainedConfig& config) {
  BagOfWordsConfig checked{.num_labels = config.num_labels()};
  absl::StatusOr<int64_t> vocab_size = config.GetInt("vocab_size");
  if (!vocab_size.ok()) return vocab_size.status();
  absl::StatusOr<int64_t> hidden_size = config.GetInt("hidden_size");
  if (!hidden_size.ok()) return hidden_size.status();
  checked.vocab_size = *vocab_size;
  checked.hidden_size = *hidden_size;
  if (checked.vocab_size < 1 || checked.hidden_size < 1) {
    return absl::InvalidArgumentError("sizes must be positive");
  }
  return checked;
}

BagOfWords::BagOfWords(PretrainedConfig config, const BagOfWordsConfig& checked,
                       ModelLayout layout,
                       const pretrained::ModuleOptions& options)
    : PretrainedModel(std::move(config), std::move(layout), options),
      checked_(checked) {
  const pretrained::ModuleNode& root = this->layout().tree.root;
  words_ = AddChild<pretrained::Embedding>(root, "words", options);
  classifier_ = AddChild<pretrained::Linear>(root, "classifier", options);
}

absl::StatusOr<pretrained::ModelOutput> BagOfWords::Call(
    const pretrained::NamedTensors& inputs, const pretrained::ForwardOptions&) {
  at::Tensor ids;
  pretrained::NamedInputs named(class_name(), inputs);
  named.Take("input_ids", ids);
  absl::Status status = named.Finish();
  if (status.ok()) {
    status = pretrained::CheckIdsOrEmbeds(ids, {}, checked_.hidden_size);
  }
  if (status.ok()) {
    status = pretrained::CheckIds("input_ids", ids, checked_.vocab_size,
                                  "vocab_size");
  }
  if (!status.ok()) return status;
  pretrained::ModelOutput output;
  output.Add("logits", (*classifier_)((*words_)(ids).mean(1)));
  return output;
}

void BagOfWords::InitializeTensor(
    const pretrained::TensorToInitialize& target) const {
  pretrained::InitializeNormal(target, 0.1);
}

const pretrained::ModelClass& BagOfWords::Class() {
  static const auto* const model_class = new pretrained::ModelClass(
      pretrained::MakeModelClass<BagOfWords, BagOfWordsConfig>(
          BagOfWordsLayoutClass()));
  return *model_class;
}

namespace {

const bool kRegistered =
    pretrained::RegisterLayout(&BagOfWordsLayoutClass()) &&
    pretrained::RegisterModel(&BagOfWords::Class()) &&
    pretrained::RegisterForAutoClass(pretrained::AutoTask::kBase,
                                     "bag-of-words", "BagOfWords") &&
    pretrained::RegisterForAutoClass(
        pretrained::AutoTask::kSequenceClassification, "bag-of-words",
        "BagOfWords");

}  // namespace
}  // namespace consumer
