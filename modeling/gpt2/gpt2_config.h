#ifndef PRETRAINED_MODELING_GPT2_GPT2_CONFIG_H_
#define PRETRAINED_MODELING_GPT2_GPT2_CONFIG_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "modeling/attention_heads.h"
#include "modeling/pretrained_config.h"

namespace pretrained {

// The attributes of a GPT-2 config that shape the model, checked.
//
// Defaults and names are those of transformers 4.34
// configuration_gpt2.py `GPT2Config`; sizes are counts of elements.
struct GPT2Config {
  int64_t vocab_size = 50257;
  int64_t n_positions = 1024;
  int64_t n_embd = 768;
  int64_t n_layer = 12;
  int64_t n_head = 12;
  std::optional<int64_t> n_inner;  // Of the feed-forward; 4 n_embd if absent.
  std::string activation_function = "gelu_new";
  double resid_pdrop = 0.1;
  double embd_pdrop = 0.1;
  double attn_pdrop = 0.1;
  double layer_norm_epsilon = 1e-5;
  double initializer_range = 0.02;
  // Scores are divided by the square root of the head size.
  bool scale_attn_weights = true;
  // And by the layer's number, from 1.
  bool scale_attn_by_inverse_layer_idx = false;
  // Scores and their softmax are computed in float32.
  bool reorder_and_upcast_attn = false;
  bool use_cache = true;
  bool add_cross_attention = false;
  bool output_attentions = false;
  bool output_hidden_states = false;
  // Of a model that classifies sequences.
  int64_t num_labels = 2;
  std::optional<int64_t> pad_token_id;
  std::string problem_type;  // Empty: it follows from the labels.
  // Layer to the heads it lost, numbered as before any was pruned.
  std::map<int64_t, std::set<int64_t>> pruned_heads;

  // kInvalidArgument, naming file and attribute, for a value of another type, a
  // size below one, heads that do not divide n_embd, an activation that does
  // not exist, or pruned heads that there are not.
  static absl::StatusOr<GPT2Config> From(const PretrainedConfig& config);

  int64_t head_size() const { return n_embd / n_head; }
  // Heads that self-attention of layer `layer` has left.
  int64_t num_heads(int64_t layer) const {
    return NumHeadsLeft(pruned_heads, layer, n_head);
  }
  int64_t inner_size() const { return n_inner.value_or(4 * n_embd); }
};

// What makes a PretrainedConfig a GPT-2 one: model type, defaults, and its own
// names for hidden_size, num_hidden_layers and so on.
const ConfigClass& GPT2ConfigClass();

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_GPT2_GPT2_CONFIG_H_
