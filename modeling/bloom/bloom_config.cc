#include "modeling/bloom/bloom_config.h"

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "modeling/config_reader.h"
#include "modeling/pretrained_config.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

// What is saved has the name of today.
void TakeOldName(nlohmann::ordered_json& attributes) {
  const auto old = attributes.find("n_embed");
  if (old == attributes.end()) return;
  if (!old->is_null()) attributes["hidden_size"] = *old;
  attributes.erase("n_embed");
}

void ReadSizes(ConfigReader& reader, const PretrainedConfig& config,
               BloomConfig& bloom) {
  reader.Size("vocab_size", bloom.vocab_size);
  reader.Size(config.Get("n_embed").is_null() ? "hidden_size" : "n_embed",
              bloom.hidden_size);
  reader.Size("n_layer", bloom.n_layer, 0);
  reader.Size("n_head", bloom.n_head);
  reader.Size("pretraining_tp", bloom.pretraining_tp);
  reader.Require(bloom.hidden_size % bloom.n_head == 0, "hidden_size",
                 absl::StrCat("a multiple of the ", bloom.n_head,
                              " attention heads is expected"));
}

void ReadOptions(ConfigReader& reader, const PretrainedConfig& config,
                 BloomConfig& bloom) {
  reader.Number("layer_norm_epsilon", bloom.layer_norm_epsilon);
  reader.Number("initializer_range", bloom.initializer_range);
  reader.Bool("use_cache", bloom.use_cache);
  reader.Bool("apply_residual_connection_post_layernorm",
              bloom.apply_residual_connection_post_layernorm);
  reader.Probability("hidden_dropout", bloom.hidden_dropout);
  reader.Probability("attention_dropout", bloom.attention_dropout);
  bloom.classifier_dropout = bloom.hidden_dropout;
  if (!config.Get("classifier_dropout").is_null()) {
    reader.Probability("classifier_dropout", bloom.classifier_dropout);
  }
  reader.Bool("slow_but_exact", bloom.slow_but_exact);
  reader.Bool("output_attentions", bloom.output_attentions);
  reader.Bool("output_hidden_states", bloom.output_hidden_states);
  reader.OptionalInt("pad_token_id", bloom.pad_token_id);
}

}  // namespace

const ConfigClass& BloomConfigClass() {
  static const ConfigClass* const config_class = [] {
    const BloomConfig bloom;
    return new ConfigClass{
        .model_type = "bloom",
        .defaults = {{"vocab_size", bloom.vocab_size},
                     {"hidden_size", bloom.hidden_size},
                     {"n_layer", bloom.n_layer},
                     {"n_head", bloom.n_head},
                     {"layer_norm_epsilon", bloom.layer_norm_epsilon},
                     {"initializer_range", bloom.initializer_range},
                     {"use_cache", bloom.use_cache},
                     {"pretraining_tp", bloom.pretraining_tp},
                     {"apply_residual_connection_post_layernorm",
                      bloom.apply_residual_connection_post_layernorm},
                     {"hidden_dropout", bloom.hidden_dropout},
                     {"attention_dropout", bloom.attention_dropout},
                     {"bos_token_id", 1},
                     {"eos_token_id", 2},
                     {"slow_but_exact", bloom.slow_but_exact}},
        .attribute_map = {{"num_attention_heads", "n_head"},
                          {"num_hidden_layers", "n_layer"}},
        .derive = TakeOldName};
  }();
  return *config_class;
}

absl::StatusOr<BloomConfig> BloomConfig::From(const PretrainedConfig& config) {
  BloomConfig bloom;
  ConfigReader reader(config);
  ReadSizes(reader, config, bloom);
  ReadOptions(reader, config, bloom);
  if (!config.Get("problem_type").is_null()) {
    reader.OneOf("problem_type", bloom.problem_type,
                 {"regression", "single_label_classification",
                  "multi_label_classification"});
  }
  reader.PrunedHeads(bloom.n_layer, bloom.n_head, bloom.pruned_heads);
  reader.Require(config.num_labels() >= 0, "num_labels",
                 "at least 0 is expected");
  if (!reader.ok()) return reader.status();
  bloom.num_labels = config.num_labels();
  return bloom;
}

}  // namespace pretrained
