#include "modeling/mistral/mistral_config.h"

#include "absl/status/statusor.h"
#include "modeling/config_reader.h"
#include "modeling/llama/llama_config.h"
#include "modeling/pretrained_config.h"

namespace pretrained {

const ConfigClass& MistralConfigClass() {
  static const ConfigClass* const config_class = [] {
    const LlamaConfig llama;
    return new ConfigClass{
        .model_type = "mistral",
        .defaults = {{"vocab_size", llama.vocab_size},
                     {"hidden_size", llama.hidden_size},
                     {"intermediate_size", 14336},
                     {"num_hidden_layers", llama.num_hidden_layers},
                     {"num_attention_heads", llama.num_attention_heads},
                     {"num_key_value_heads", 8},
                     {"hidden_act", llama.hidden_act},
                     {"max_position_embeddings", 4096 * 32},
                     {"initializer_range", llama.initializer_range},
                     {"rms_norm_eps", llama.rms_norm_eps},
                     {"use_cache", llama.use_cache},
                     {"pad_token_id", nullptr},
                     {"bos_token_id", 1},
                     {"eos_token_id", 2},
                     {"tie_word_embeddings", false},
                     {"rope_theta", llama.rotary.base},
                     {"sliding_window", 4096}},
        .derive = DeriveKeyValueHeads};
  }();
  return *config_class;
}

absl::StatusOr<MistralConfig> MistralConfig::From(
    const PretrainedConfig& config) {
  absl::StatusOr<LlamaConfig> decoder = ReadLlamaLikeConfig(config);
  if (!decoder.ok()) return decoder.status();
  MistralConfig mistral{.decoder = *decoder};
  ConfigReader reader(config);
  reader.OptionalInt("sliding_window", mistral.sliding_window);
  reader.Require(mistral.sliding_window.value_or(0) >= 0, "sliding_window",
                 "a number of tokens, at least 0, or null is expected");
  if (!reader.ok()) return reader.status();
  return mistral;
}

}  // namespace pretrained
