#ifndef PRETRAINED_MODELING_BERT_BERT_CONFIG_H_
#define PRETRAINED_MODELING_BERT_BERT_CONFIG_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "modeling/pretrained_config.h"

namespace pretrained {

// The attributes of a BERT config that shape the model, checked.
//
// Defaults and names are those of transformers 4.34
// configuration_bert.py `BertConfig`; sizes are counts of elements.
struct BertConfig {
  int64_t vocab_size = 30522;
  int64_t hidden_size = 768;
  int64_t num_hidden_layers = 12;
  int64_t num_attention_heads = 12;
  int64_t intermediate_size = 3072;
  std::string hidden_act = "gelu";
  double hidden_dropout_prob = 0.1;
  double attention_probs_dropout_prob = 0.1;
  int64_t max_position_embeddings = 512;
  int64_t type_vocab_size = 2;
  double initializer_range = 0.02;
  double layer_norm_eps = 1e-12;
  std::optional<int64_t> pad_token_id = 0;
  // "absolute", "relative_key" or "relative_key_query".
  std::string position_embedding_type = "absolute";
  bool use_cache = true;
  bool is_decoder = false;
  bool add_cross_attention = false;
  int64_t chunk_size_feed_forward = 0;
  bool output_attentions = false;
  bool output_hidden_states = false;
  // Of the models with a head: what their last matrix has rows for.
  int64_t num_labels = 2;
  // "regression", "single_label_classification", "multi_label_classification";
  // empty where it follows from the labels.
  std::string problem_type;
  // Before the classifier; hidden_dropout_prob where it is absent.
  std::optional<double> classifier_dropout;
  // How tokens are numbered where the caller does not say: BERT counts them
  // all, from 0; its kin (RoBERTa) counts from pad_token_id + 1, and passes
  // over padding, whose position is pad_token_id. Not an attribute.
  bool positions_pass_over_padding = false;
  // Layer to the heads it lost, numbered as before any was pruned.
  std::map<int64_t, std::set<int64_t>> pruned_heads;

  // kInvalidArgument, naming file and attribute, for a value of another type, a
  // size below one, heads that do not divide the hidden size, an activation,
  // position embedding type or problem type that does not exist, or
  // cross-attention without is_decoder.
  static absl::StatusOr<BertConfig> From(const PretrainedConfig& config);

  double classifier_dropout_prob() const {
    return classifier_dropout.value_or(hidden_dropout_prob);
  }
  int64_t head_size() const { return hidden_size / num_attention_heads; }
  // Heads that layer `layer` has left.
  int64_t num_heads(int64_t layer) const {
    auto pruned = pruned_heads.find(layer);
    return num_attention_heads -
           (pruned == pruned_heads.end()
                ? 0
                : static_cast<int64_t>(pruned->second.size()));
  }
};

// What makes a PretrainedConfig a BERT one: model type and defaults.
const ConfigClass& BertConfigClass();

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_BERT_BERT_CONFIG_H_
