#include "modeling/gpt_neox/gpt_neox_config.h"

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "modeling/activation_names.h"
#include "modeling/config_reader.h"
#include "modeling/pretrained_config.h"
#include "modeling/rotary_options.h"

namespace pretrained {
namespace {

void ReadSizes(ConfigReader& reader, GPTNeoXConfig& neox) {
  reader.Size("vocab_size", neox.vocab_size);
  reader.Size("hidden_size", neox.hidden_size);
  reader.Size("num_hidden_layers", neox.num_hidden_layers, 0);
  reader.Size("num_attention_heads", neox.num_attention_heads);
  reader.Size("intermediate_size", neox.intermediate_size);
  reader.Size("max_position_embeddings", neox.max_position_embeddings);
  reader.Require(neox.hidden_size % neox.num_attention_heads == 0,
                 "hidden_size",
                 absl::StrCat("a multiple of the ", neox.num_attention_heads,
                              " attention heads is expected"));
}

void ReadOptions(ConfigReader& reader, GPTNeoXConfig& neox) {
  reader.String("hidden_act", neox.hidden_act);
  reader.Require(
      FindActivation(neox.hidden_act) != nullptr, "hidden_act",
      absl::StrCat("an activation function is expected: ", ListActivations()));
  reader.Probability("attention_dropout", neox.attention_dropout);
  reader.Probability("hidden_dropout", neox.hidden_dropout);
  reader.Probability("classifier_dropout", neox.classifier_dropout);
  reader.Number("initializer_range", neox.initializer_range);
  reader.Number("layer_norm_eps", neox.layer_norm_eps);
  reader.Bool("use_cache", neox.use_cache);
  reader.Bool("use_parallel_residual", neox.use_parallel_residual);
  reader.Bool("output_attentions", neox.output_attentions);
  reader.Bool("output_hidden_states", neox.output_hidden_states);
  reader.OptionalInt("pad_token_id", neox.pad_token_id);
}

void ReadRotary(ConfigReader& reader, GPTNeoXConfig& neox) {
  RotaryOptions& rotary = neox.rotary;
  reader.Number("rotary_pct", neox.rotary_pct);
  reader.Number("rotary_emb_base", rotary.base);
  reader.Require(rotary.base > 0.0, "rotary_emb_base",
                 "a number above 0 is expected");
  const int64_t size = neox.head_size();
  // What is more than all, NaN too, is not for int64_t.
  const double part = neox.rotary_pct * static_cast<double>(size);
  const bool fits = part > -1.0 && part < static_cast<double>(size + 1);
  rotary.dim = fits ? static_cast<int64_t>(part) : 0;
  reader.Require(
      fits && rotary.dim % 2 == 0, "rotary_pct",
      absl::StrCat("a part of each head is expected that has an even "
                   "number of its ",
                   size, " numbers, since positions turn pairs"));
  rotary.max_positions = neox.max_position_embeddings;
  rotary.stores_frequencies = true;
}

}  // namespace

const ConfigClass& GPTNeoXConfigClass() {
  static const ConfigClass* const config_class = [] {
    const GPTNeoXConfig neox;
    return new ConfigClass{
        .model_type = "gpt_neox",
        .defaults = {{"vocab_size", neox.vocab_size},
                     {"hidden_size", neox.hidden_size},
                     {"num_hidden_layers", neox.num_hidden_layers},
                     {"num_attention_heads", neox.num_attention_heads},
                     {"intermediate_size", neox.intermediate_size},
                     {"hidden_act", neox.hidden_act},
                     {"rotary_pct", neox.rotary_pct},
                     {"rotary_emb_base", 10000},
                     {"attention_dropout", neox.attention_dropout},
                     {"hidden_dropout", neox.hidden_dropout},
                     {"classifier_dropout", neox.classifier_dropout},
                     {"max_position_embeddings", neox.max_position_embeddings},
                     {"initializer_range", neox.initializer_range},
                     {"layer_norm_eps", neox.layer_norm_eps},
                     {"use_cache", neox.use_cache},
                     {"bos_token_id", 0},
                     {"eos_token_id", 2},
                     {"tie_word_embeddings", false},
                     {"use_parallel_residual", neox.use_parallel_residual},
                     {"rope_scaling", nullptr}}};
  }();
  return *config_class;
}

absl::StatusOr<GPTNeoXConfig> GPTNeoXConfig::From(
    const PretrainedConfig& config) {
  GPTNeoXConfig neox;
  ConfigReader reader(config);
  ReadSizes(reader, neox);
  ReadOptions(reader, neox);
  ReadRotary(reader, neox);
  if (!config.Get("problem_type").is_null()) {
    reader.OneOf("problem_type", neox.problem_type,
                 {"regression", "single_label_classification",
                  "multi_label_classification"});
  }
  reader.PrunedHeads(neox.num_hidden_layers, neox.num_attention_heads,
                     neox.pruned_heads);
  reader.Require(config.num_labels() >= 0, "num_labels",
                 "at least 0 is expected");
  if (!reader.ok()) return reader.status();
  neox.num_labels = config.num_labels();
  absl::Status status = ReadRopeScaling(config, neox.rotary);
  if (!status.ok()) return status;
  return neox;
}

}  // namespace pretrained
