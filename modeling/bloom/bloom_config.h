#ifndef PRETRAINED_MODELING_BLOOM_BLOOM_CONFIG_H_
#define PRETRAINED_MODELING_BLOOM_BLOOM_CONFIG_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "modeling/attention_heads.h"
#include "modeling/pretrained_config.h"

namespace pretrained {

// The attributes of a BLOOM config that shape the model, checked.
//
// Defaults and names are those of transformers 4.34 configuration_bloom.py
// `BloomConfig`; sizes are counts of elements. `n_embed`, as older configs have
// it, is `hidden_size`.
struct BloomConfig {
  int64_t vocab_size = 250880;
  int64_t hidden_size = 64;
  int64_t n_layer = 2;
  int64_t n_head = 8;
  double layer_norm_epsilon = 1e-5;
  double initializer_range = 0.02;
  bool use_cache = true;
  // What a norm makes is added to what comes after it, instead of what the norm
  // was made of.
  bool apply_residual_connection_post_layernorm = false;
  double hidden_dropout = 0.0;
  double attention_dropout = 0.0;
  double classifier_dropout = 0.0;  // hidden_dropout unless the config has one.
  // With slow_but_exact and more than one, matrices that end a part of a block
  // have no bias.
  int64_t pretraining_tp = 1;
  bool slow_but_exact = false;
  bool output_attentions = false;
  bool output_hidden_states = false;
  int64_t num_labels = 2;
  std::optional<int64_t> pad_token_id;
  std::string problem_type;  // Empty: it follows from the labels.
  // Layer to the heads it lost, numbered as before any was pruned.
  std::map<int64_t, std::set<int64_t>> pruned_heads;

  // kInvalidArgument, naming file and attribute, for a value of another type, a
  // size below one, heads that do not divide the hidden size, or pruned heads
  // that there are not.
  static absl::StatusOr<BloomConfig> From(const PretrainedConfig& config);

  int64_t head_size() const { return hidden_size / n_head; }
  // Heads that layer `layer` has left.
  int64_t num_heads(int64_t layer) const {
    return NumHeadsLeft(pruned_heads, layer, n_head);
  }
  bool drops_bias() const { return slow_but_exact && pretraining_tp > 1; }
};

// What makes a PretrainedConfig a BLOOM one: model type and defaults.
const ConfigClass& BloomConfigClass();

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_BLOOM_BLOOM_CONFIG_H_
