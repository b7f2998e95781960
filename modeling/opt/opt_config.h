#ifndef PRETRAINED_MODELING_OPT_OPT_CONFIG_H_
#define PRETRAINED_MODELING_OPT_OPT_CONFIG_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "modeling/attention_heads.h"
#include "modeling/pretrained_config.h"

namespace pretrained {

// The attributes of an OPT config that shape the model, checked.
//
// Defaults and names are those of transformers 4.34 configuration_opt.py
// `OPTConfig`; sizes are counts of elements.
struct OPTConfig {
  int64_t vocab_size = 50272;
  int64_t hidden_size = 768;
  int64_t num_hidden_layers = 12;
  int64_t ffn_dim = 3072;
  int64_t max_position_embeddings = 2048;
  int64_t num_attention_heads = 12;
  // Of token embeddings, which a matrix turns into hidden states and back where
  // the sizes differ; hidden_size where the config's is null.
  int64_t word_embed_proj_dim = 768;
  std::string activation_function = "relu";
  // Norms come before attention and feed-forward; else after.
  bool do_layer_norm_before = true;
  // Leaves out the norm after the last layer, which only a model with norms
  // before has.
  bool remove_final_layer_norm = false;  // `_remove_final_layer_norm`
  bool enable_bias = true;               // In the layers.
  bool layer_norm_elementwise_affine = true;
  double dropout = 0.1;
  double attention_dropout = 0.0;
  double layerdrop = 0.0;  // Of a whole layer, in training.
  double init_std = 0.02;
  bool use_cache = true;
  bool output_attentions = false;
  bool output_hidden_states = false;
  std::optional<int64_t> pad_token_id = 1;
  // Of a model that classifies sequences.
  int64_t num_labels = 2;
  std::string problem_type;  // Empty: it follows from the labels.
  // Layer to the heads it lost, numbered as before any was pruned.
  std::map<int64_t, std::set<int64_t>> pruned_heads;

  // kInvalidArgument, naming file and attribute, for a value of another type, a
  // size below one, heads that do not divide the hidden size, an activation
  // that does not exist, a padding token beyond the vocabulary, or pruned heads
  // that there are not.
  static absl::StatusOr<OPTConfig> From(const PretrainedConfig& config);

  int64_t head_size() const { return hidden_size / num_attention_heads; }
  // Heads that layer `layer` has left.
  int64_t num_heads(int64_t layer) const {
    return NumHeadsLeft(pruned_heads, layer, num_attention_heads);
  }
  bool has_projections() const { return word_embed_proj_dim != hidden_size; }
  bool has_final_layer_norm() const {
    return do_layer_norm_before && !remove_final_layer_norm;
  }
};

// What makes a PretrainedConfig an OPT one: model type and defaults.
const ConfigClass& OPTConfigClass();

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_OPT_OPT_CONFIG_H_
