#include "modeling/opt/opt_config.h"

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "modeling/activation_names.h"
#include "modeling/config_reader.h"
#include "modeling/pretrained_config.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

// Token embeddings are as long as hidden states unless they say otherwise.
void DeriveProjection(nlohmann::ordered_json& attributes) {
  nlohmann::ordered_json& size = attributes["word_embed_proj_dim"];
  if (size.is_null()) size = attributes["hidden_size"];
}

void ReadSizes(ConfigReader& reader, const PretrainedConfig& config,
               OPTConfig& opt) {
  reader.Size("vocab_size", opt.vocab_size);
  reader.Size("hidden_size", opt.hidden_size);
  reader.Size("num_hidden_layers", opt.num_hidden_layers, 0);
  reader.Size("ffn_dim", opt.ffn_dim);
  reader.Size("max_position_embeddings", opt.max_position_embeddings);
  reader.Size("num_attention_heads", opt.num_attention_heads);
  opt.word_embed_proj_dim = opt.hidden_size;
  if (!config.Get("word_embed_proj_dim").is_null()) {
    reader.Size("word_embed_proj_dim", opt.word_embed_proj_dim);
  }
}

// What the peer would trip over.
void Require(ConfigReader& reader, const PretrainedConfig& config,
             const OPTConfig& opt) {
  reader.Require(
      FindActivation(opt.activation_function) != nullptr, "activation_function",
      absl::StrCat("an activation function is expected: ", ListActivations()));
  reader.Require(opt.hidden_size % opt.num_attention_heads == 0, "hidden_size",
                 absl::StrCat("a multiple of the ", opt.num_attention_heads,
                              " attention heads is expected"));
  if (opt.pad_token_id.has_value()) {
    reader.Require(*opt.pad_token_id >= -opt.vocab_size &&
                       *opt.pad_token_id < opt.vocab_size,
                   "pad_token_id", "a token within vocab_size is expected");
  }
  reader.Require(config.num_labels() >= 0, "num_labels",
                 "at least 0 is expected");
}

}  // namespace

const ConfigClass& OPTConfigClass() {
  static const ConfigClass* const config_class = [] {
    const OPTConfig opt;
    return new ConfigClass{
        .model_type = "opt",
        .defaults = {{"vocab_size", opt.vocab_size},
                     {"hidden_size", opt.hidden_size},
                     {"num_hidden_layers", opt.num_hidden_layers},
                     {"ffn_dim", opt.ffn_dim},
                     {"max_position_embeddings", opt.max_position_embeddings},
                     {"do_layer_norm_before", opt.do_layer_norm_before},
                     {"_remove_final_layer_norm", opt.remove_final_layer_norm},
                     {"word_embed_proj_dim", nullptr},
                     {"dropout", opt.dropout},
                     {"attention_dropout", opt.attention_dropout},
                     {"num_attention_heads", opt.num_attention_heads},
                     {"activation_function", opt.activation_function},
                     {"layerdrop", opt.layerdrop},
                     {"init_std", opt.init_std},
                     {"use_cache", opt.use_cache},
                     {"pad_token_id", 1},
                     {"bos_token_id", 2},
                     {"eos_token_id", 2},
                     {"enable_bias", opt.enable_bias},
                     {"layer_norm_elementwise_affine",
                      opt.layer_norm_elementwise_affine}},
        .derive = DeriveProjection};
  }();
  return *config_class;
}

absl::StatusOr<OPTConfig> OPTConfig::From(const PretrainedConfig& config) {
  OPTConfig opt;
  ConfigReader reader(config);
  ReadSizes(reader, config, opt);
  reader.String("activation_function", opt.activation_function);
  reader.Bool("do_layer_norm_before", opt.do_layer_norm_before);
  reader.Bool("_remove_final_layer_norm", opt.remove_final_layer_norm);
  reader.Bool("enable_bias", opt.enable_bias);
  reader.Bool("layer_norm_elementwise_affine",
              opt.layer_norm_elementwise_affine);
  reader.Probability("dropout", opt.dropout);
  reader.Probability("attention_dropout", opt.attention_dropout);
  reader.Probability("layerdrop", opt.layerdrop);
  reader.Number("init_std", opt.init_std);
  reader.Bool("use_cache", opt.use_cache);
  reader.Bool("output_attentions", opt.output_attentions);
  reader.Bool("output_hidden_states", opt.output_hidden_states);
  reader.OptionalInt("pad_token_id", opt.pad_token_id);
  if (!config.Get("problem_type").is_null()) {
    reader.OneOf("problem_type", opt.problem_type,
                 {"regression", "single_label_classification",
                  "multi_label_classification"});
  }
  reader.PrunedHeads(opt.num_hidden_layers, opt.num_attention_heads,
                     opt.pruned_heads);
  Require(reader, config, opt);
  if (!reader.ok()) return reader.status();
  opt.num_labels = config.num_labels();
  return opt;
}

}  // namespace pretrained
