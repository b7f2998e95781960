#ifndef PRETRAINED_MODELING_DISTILBERT_DISTILBERT_CONFIG_H_
#define PRETRAINED_MODELING_DISTILBERT_DISTILBERT_CONFIG_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "modeling/pretrained_config.h"

namespace pretrained {

// The attributes of a DistilBERT config that shape the model, checked.
//
// Defaults and names are those of transformers 4.34
// configuration_distilbert.py `DistilBertConfig`; sizes are counts of elements.
struct DistilBertConfig {
  int64_t vocab_size = 30522;
  int64_t max_position_embeddings = 512;
  // Positions that are sines and cosines, and are not trained.
  bool sinusoidal_pos_embds = false;
  int64_t n_layers = 6;
  int64_t n_heads = 12;
  int64_t dim = 768;
  int64_t hidden_dim = 3072;  // Of the feed-forward layers.
  double dropout = 0.1;
  double attention_dropout = 0.1;
  std::string activation = "gelu";
  double initializer_range = 0.02;
  double qa_dropout = 0.1;           // Before the matrix that finds answers.
  double seq_classif_dropout = 0.2;  // Before a sequence's classifier.
  std::optional<int64_t> pad_token_id = 0;
  int64_t chunk_size_feed_forward = 0;
  bool output_attentions = false;
  bool output_hidden_states = false;
  // Of the models with a head: what their last matrix has rows for.
  int64_t num_labels = 2;
  // "regression", "single_label_classification", "multi_label_classification";
  // empty where it follows from the labels.
  std::string problem_type;
  // Layer to the heads it lost, numbered as before any was pruned.
  std::map<int64_t, std::set<int64_t>> pruned_heads;

  // kInvalidArgument, naming file and attribute, for a value of another type, a
  // size below one, heads that do not divide `dim`, an activation or problem
  // type that does not exist, or padding beyond the vocabulary.
  static absl::StatusOr<DistilBertConfig> From(const PretrainedConfig& config);

  int64_t head_size() const { return dim / n_heads; }
  // Heads that layer `layer` has left.
  int64_t num_heads(int64_t layer) const {
    auto pruned = pruned_heads.find(layer);
    return n_heads - (pruned == pruned_heads.end()
                          ? 0
                          : static_cast<int64_t>(pruned->second.size()));
  }
};

// What makes a PretrainedConfig a DistilBERT one: model type, defaults, and the
// standard names of its attributes.
const ConfigClass& DistilBertConfigClass();

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_DISTILBERT_DISTILBERT_CONFIG_H_
