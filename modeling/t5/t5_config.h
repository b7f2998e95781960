#ifndef PRETRAINED_MODELING_T5_T5_CONFIG_H_
#define PRETRAINED_MODELING_T5_T5_CONFIG_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "modeling/attention_heads.h"
#include "modeling/pretrained_config.h"

namespace pretrained {

// The attributes of a T5 config that shape the model, checked.
//
// Defaults and names are those of transformers 4.34 configuration_t5.py
// `T5Config`; sizes are counts of elements.
struct T5Config {
  int64_t vocab_size = 32128;
  int64_t d_model = 512;  // The hidden size.
  int64_t d_kv = 64;      // Of a head; heads need not fill d_model.
  int64_t d_ff = 2048;
  int64_t num_layers = 6;          // Of the encoder.
  int64_t num_decoder_layers = 6;  // As many as the encoder's when not given.
  int64_t num_heads = 8;
  int64_t relative_attention_num_buckets = 32;
  int64_t relative_attention_max_distance = 128;
  double dropout_rate = 0.1;
  double layer_norm_epsilon = 1e-6;
  double initializer_factor = 1.0;
  // What `feed_forward_proj` says ("relu", "gated-gelu"), unless the config
  // has these two itself, which then count.
  std::string dense_act_fn = "relu";
  bool is_gated_act = false;
  bool use_cache = true;
  bool is_decoder = false;  // Matters to T5EncoderModel alone.
  bool is_encoder_decoder = true;
  bool tie_word_embeddings = true;
  bool tie_encoder_decoder = false;
  std::optional<int64_t> pad_token_id = 0;
  std::optional<int64_t> decoder_start_token_id;
  bool output_attentions = false;
  bool output_hidden_states = false;
  // Layer of the encoder to the heads that its self-attention lost, numbered as
  // before any was pruned. Stacks that share weights both lost them.
  std::map<int64_t, std::set<int64_t>> pruned_heads;

  // kInvalidArgument, naming file and attribute, for a value of another type, a
  // size out of range, a `feed_forward_proj` of another form, an activation
  // that does not exist, or pruned heads that there are not.
  // Differs: buckets that cannot hold every distance are refused here; 4.34
  //     fails at the first distance without a bucket. What follows from other
  //     attributes follows from their last values; in 4.34 from those that the
  //     file has under T5's own names, before keyword arguments are put in.
  static absl::StatusOr<T5Config> From(const PretrainedConfig& config);

  int64_t inner_dim() const { return num_heads * d_kv; }
  // Whether the decoder's matrices are the encoder's.
  bool shares_stacks() const {
    return tie_encoder_decoder && is_encoder_decoder;
  }
  // Heads that self-attention of the encoder's layer `layer` has left.
  int64_t heads_left(int64_t layer) const {
    return NumHeadsLeft(pruned_heads, layer, num_heads);
  }
};

// What makes a PretrainedConfig a T5 one: model type, defaults, its names of
// the standard attributes, and what follows from others.
const ConfigClass& T5ConfigClass();

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_T5_T5_CONFIG_H_
