#ifndef PRETRAINED_MODELING_GPT_NEOX_GPT_NEOX_CONFIG_H_
#define PRETRAINED_MODELING_GPT_NEOX_GPT_NEOX_CONFIG_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "modeling/attention_heads.h"
#include "modeling/pretrained_config.h"
#include "modeling/rotary_options.h"

namespace pretrained {

// The attributes of a GPT-NeoX config that shape the model, checked.
//
// Defaults and names are those of transformers 4.34 configuration_gpt_neox.py
// `GPTNeoXConfig`; sizes are counts of elements.
struct GPTNeoXConfig {
  int64_t vocab_size = 50432;
  int64_t hidden_size = 6144;
  int64_t num_hidden_layers = 44;
  int64_t num_attention_heads = 64;
  int64_t intermediate_size = 24576;
  std::string hidden_act = "gelu";
  double rotary_pct = 0.25;  // Of each head, the part that turns.
  double attention_dropout = 0.0;
  double hidden_dropout = 0.0;
  double classifier_dropout = 0.1;  // Of GPTNeoXForTokenClassification.
  int64_t max_position_embeddings = 2048;
  double initializer_range = 0.02;
  double layer_norm_eps = 1e-5;
  bool use_cache = true;
  // Attention and feed-forward of a layer both read what comes in, or one reads
  // what the other made.
  bool use_parallel_residual = true;
  bool output_attentions = false;
  bool output_hidden_states = false;
  int64_t num_labels = 2;
  std::optional<int64_t> pad_token_id;
  std::string problem_type;  // Empty: it follows from the labels.
  // Layer to the heads it lost, numbered as before any was pruned.
  std::map<int64_t, std::set<int64_t>> pruned_heads;
  // From rotary_pct, rotary_emb_base, rope_scaling, max_position_embeddings and
  // the head size.
  RotaryOptions rotary;

  // kInvalidArgument, naming file and attribute, for a value of another type, a
  // size below one, heads that do not divide the hidden size, a rotary_pct that
  // turns an odd number of a head's numbers or more than there are, a
  // rope_scaling that is none, an activation that does not exist, or pruned
  // heads that there are not.
  // Differs: in 4.34 a rotary_pct that turns one number of each head makes keys
  //     that are longer than values.
  static absl::StatusOr<GPTNeoXConfig> From(const PretrainedConfig& config);

  int64_t head_size() const { return hidden_size / num_attention_heads; }
  // Heads that layer `layer` has left.
  int64_t num_heads(int64_t layer) const {
    return NumHeadsLeft(pruned_heads, layer, num_attention_heads);
  }
};

// What makes a PretrainedConfig a GPT-NeoX one: model type and defaults.
const ConfigClass& GPTNeoXConfigClass();

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_GPT_NEOX_GPT_NEOX_CONFIG_H_
