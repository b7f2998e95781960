#ifndef PRETRAINED_MODELING_LLAMA_LLAMA_CONFIG_H_
#define PRETRAINED_MODELING_LLAMA_LLAMA_CONFIG_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "modeling/attention_heads.h"
#include "modeling/pretrained_config.h"
#include "modeling/rotary_options.h"
#include "nlohmann/json.hpp"

namespace pretrained {

// The attributes of a LLaMA config that shape the model, checked.
//
// Defaults and names are those of transformers 4.34 configuration_llama.py
// `LlamaConfig`; sizes are counts of elements.
struct LlamaConfig {
  int64_t vocab_size = 32000;
  int64_t hidden_size = 4096;
  int64_t intermediate_size = 11008;
  int64_t num_hidden_layers = 32;
  int64_t num_attention_heads = 32;
  int64_t num_key_value_heads = 32;  // As many as heads where the config's is
                                     // null.
  std::string hidden_act = "silu";
  int64_t max_position_embeddings = 2048;
  double initializer_range = 0.02;
  double rms_norm_eps = 1e-6;
  bool use_cache = true;
  std::optional<int64_t> pad_token_id;
  int64_t pretraining_tp = 1;
  bool attention_bias = false;
  bool output_attentions = false;
  bool output_hidden_states = false;
  // Empty, "regression", "single_label_classification" or
  // "multi_label_classification".
  std::string problem_type;
  // From rope_theta, rope_scaling, max_position_embeddings and the head size.
  RotaryOptions rotary;
  // Layer to the heads it lost, numbered as before any was pruned: those of
  // whole groups, which share a key and value.
  std::map<int64_t, std::set<int64_t>> pruned_heads;

  // kInvalidArgument, naming file and attribute, for a value of another type, a
  // size below one, heads that do not divide the hidden size, key heads that do
  // not divide the heads, an odd head size, a rope_scaling that is none, an
  // activation that does not exist, or pruned heads that there are not.
  static absl::StatusOr<LlamaConfig> From(const PretrainedConfig& config);

  int64_t head_size() const { return hidden_size / num_attention_heads; }
  // Heads in a row that share a key and value.
  int64_t group_size() const {
    return num_attention_heads / num_key_value_heads;
  }
  // Heads, and heads of keys and values, that layer `layer` has left.
  int64_t num_heads(int64_t layer) const {
    return NumHeadsLeft(pruned_heads, layer, num_attention_heads);
  }
  int64_t num_key_heads(int64_t layer) const {
    return num_heads(layer) / group_size();
  }
};

// Reads and checks what other families' configs have in common with LLaMA's:
// all but pretraining_tp, attention_bias and rope_scaling, which keep the
// defaults. Errors as LlamaConfig::From().
absl::StatusOr<LlamaConfig> ReadLlamaLikeConfig(const PretrainedConfig& config);

// Gives `attributes` as many num_key_value_heads as heads where that is null,
// as a config from before grouped-query attention has it.
void DeriveKeyValueHeads(nlohmann::ordered_json& attributes);

// What makes a PretrainedConfig a LLaMA one: model type and defaults.
const ConfigClass& LlamaConfigClass();

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_LLAMA_LLAMA_CONFIG_H_
