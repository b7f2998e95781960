#include "modeling/llama/llama_config.h"

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "modeling/activation_names.h"
#include "modeling/config_reader.h"
#include "modeling/pretrained_config.h"
#include "modeling/rotary_options.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

void ReadSizes(ConfigReader& reader, LlamaConfig& llama) {
  reader.Size("vocab_size", llama.vocab_size);
  reader.Size("hidden_size", llama.hidden_size);
  reader.Size("intermediate_size", llama.intermediate_size);
  reader.Size("num_hidden_layers", llama.num_hidden_layers, 0);
  reader.Size("num_attention_heads", llama.num_attention_heads);
  std::optional<int64_t> key_value_heads;
  reader.OptionalInt("num_key_value_heads", key_value_heads);
  llama.num_key_value_heads = llama.num_attention_heads;
  if (key_value_heads.has_value()) {
    reader.Size("num_key_value_heads", llama.num_key_value_heads);
  }
  reader.Size("max_position_embeddings", llama.max_position_embeddings);
}

void CheckSizes(ConfigReader& reader, const LlamaConfig& llama) {
  reader.Require(llama.hidden_size % llama.num_attention_heads == 0,
                 "hidden_size",
                 absl::StrCat("a multiple of the ", llama.num_attention_heads,
                              " attention heads is expected"));
  reader.Require(llama.head_size() % 2 == 0, "hidden_size",
                 absl::StrCat("heads of an even size are expected, since "
                              "positions turn pairs; with ",
                              llama.num_attention_heads, " heads each has ",
                              llama.head_size()));
  reader.Require(llama.num_attention_heads % llama.num_key_value_heads == 0,
                 "num_key_value_heads",
                 absl::StrCat("a divisor of the ", llama.num_attention_heads,
                              " attention heads is expected"));
}

void ReadPretrainingTp(ConfigReader& reader, LlamaConfig& llama) {
  reader.Size("pretraining_tp", llama.pretraining_tp);
  const int64_t key_size = llama.num_key_value_heads * llama.head_size();
  reader.Require(
      llama.hidden_size % llama.pretraining_tp == 0 &&
          key_size % llama.pretraining_tp == 0,
      "pretraining_tp",
      absl::StrCat("a divisor of ", llama.hidden_size, " and ", key_size,
                   ", the sizes of queries and keys, is ", "expected"));
}

}  // namespace

void DeriveKeyValueHeads(nlohmann::ordered_json& attributes) {
  nlohmann::ordered_json& key_value_heads = attributes["num_key_value_heads"];
  if (key_value_heads.is_null()) {
    key_value_heads = attributes["num_attention_heads"];
  }
}

const ConfigClass& LlamaConfigClass() {
  static const ConfigClass* const config_class = [] {
    const LlamaConfig llama;
    return new ConfigClass{
        .model_type = "llama",
        .defaults = {{"vocab_size", llama.vocab_size},
                     {"hidden_size", llama.hidden_size},
                     {"intermediate_size", llama.intermediate_size},
                     {"num_hidden_layers", llama.num_hidden_layers},
                     {"num_attention_heads", llama.num_attention_heads},
                     {"num_key_value_heads", nullptr},
                     {"hidden_act", llama.hidden_act},
                     {"max_position_embeddings", llama.max_position_embeddings},
                     {"initializer_range", llama.initializer_range},
                     {"rms_norm_eps", llama.rms_norm_eps},
                     {"use_cache", llama.use_cache},
                     {"pad_token_id", nullptr},
                     {"bos_token_id", 1},
                     {"eos_token_id", 2},
                     {"pretraining_tp", llama.pretraining_tp},
                     {"tie_word_embeddings", false},
                     {"rope_theta", llama.rotary.base},
                     {"rope_scaling", nullptr},
                     {"attention_bias", llama.attention_bias}},
        .derive = DeriveKeyValueHeads};
  }();
  return *config_class;
}

absl::StatusOr<LlamaConfig> ReadLlamaLikeConfig(
    const PretrainedConfig& config) {
  LlamaConfig llama;
  ConfigReader reader(config);
  ReadSizes(reader, llama);
  reader.String("hidden_act", llama.hidden_act);
  reader.Number("initializer_range", llama.initializer_range);
  reader.Number("rms_norm_eps", llama.rms_norm_eps);
  reader.Bool("use_cache", llama.use_cache);
  reader.OptionalInt("pad_token_id", llama.pad_token_id);
  reader.Bool("output_attentions", llama.output_attentions);
  reader.Bool("output_hidden_states", llama.output_hidden_states);
  reader.Number("rope_theta", llama.rotary.base);
  if (!config.Get("problem_type").is_null()) {
    reader.OneOf("problem_type", llama.problem_type,
                 {"regression", "single_label_classification",
                  "multi_label_classification"});
  }
  reader.Require(
      FindActivation(llama.hidden_act) != nullptr, "hidden_act",
      absl::StrCat("an activation function is expected: ", ListActivations()));
  reader.Require(llama.rotary.base > 0.0, "rope_theta",
                 "a number above 0 is expected");
  if (llama.pad_token_id.has_value()) {
    reader.Require(*llama.pad_token_id >= -llama.vocab_size &&
                       *llama.pad_token_id < llama.vocab_size,
                   "pad_token_id", "a token within vocab_size is expected");
  }
  CheckSizes(reader, llama);
  if (!reader.ok()) return reader.status();
  reader.PrunedHeads(llama.num_hidden_layers, llama.num_attention_heads,
                     llama.pruned_heads, llama.group_size());
  if (!reader.ok()) return reader.status();
  llama.rotary.dim = llama.head_size();
  llama.rotary.max_positions = llama.max_position_embeddings;
  return llama;
}

absl::StatusOr<LlamaConfig> LlamaConfig::From(const PretrainedConfig& config) {
  absl::StatusOr<LlamaConfig> llama = ReadLlamaLikeConfig(config);
  if (!llama.ok()) return llama;
  ConfigReader reader(config);
  reader.Bool("attention_bias", llama->attention_bias);
  ReadPretrainingTp(reader, *llama);
  if (!reader.ok()) return reader.status();
  absl::Status status = ReadRopeScaling(config, llama->rotary);
  if (!status.ok()) return status;
  return llama;
}

}  // namespace pretrained
