#include "modeling/bert/bert_config.h"

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "modeling/activation_names.h"
#include "modeling/config_reader.h"
#include "modeling/pretrained_config.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

// What the heads are made by.
void ReadHeads(const PretrainedConfig& config, ConfigReader& reader,
               BertConfig& bert) {
  bert.num_labels = config.num_labels();
  reader.Require(bert.num_labels >= 0, "num_labels", "at least 0 is expected");
  if (!config.Get("problem_type").is_null()) {
    reader.OneOf("problem_type", bert.problem_type,
                 {"regression", "single_label_classification",
                  "multi_label_classification"});
  }
  if (!config.Get("classifier_dropout").is_null()) {
    bert.classifier_dropout = 0.0;
    reader.Probability("classifier_dropout", *bert.classifier_dropout);
  }
}

// What the peer would trip over later.
void CheckTogether(const BertConfig& bert, ConfigReader& reader) {
  reader.Require(
      FindActivation(bert.hidden_act) != nullptr, "hidden_act",
      absl::StrCat("an activation function is expected: ", ListActivations()));
  reader.Require(bert.hidden_size % bert.num_attention_heads == 0,
                 "hidden_size",
                 absl::StrCat("a multiple of the ", bert.num_attention_heads,
                              " attention heads is expected"));
  reader.Require(!bert.add_cross_attention || bert.is_decoder,
                 "add_cross_attention",
                 "cross-attention is for decoders: set is_decoder too");
  if (bert.pad_token_id.has_value()) {
    reader.Require(*bert.pad_token_id >= -bert.vocab_size &&
                       *bert.pad_token_id < bert.vocab_size,
                   "pad_token_id", "a token within vocab_size is expected");
  }
}

}  // namespace

const ConfigClass& BertConfigClass() {
  static const ConfigClass* const config_class = [] {
    const BertConfig bert;
    return new ConfigClass{
        .model_type = "bert",
        .defaults = {
            {"vocab_size", bert.vocab_size},
            {"hidden_size", bert.hidden_size},
            {"num_hidden_layers", bert.num_hidden_layers},
            {"num_attention_heads", bert.num_attention_heads},
            {"intermediate_size", bert.intermediate_size},
            {"hidden_act", bert.hidden_act},
            {"hidden_dropout_prob", bert.hidden_dropout_prob},
            {"attention_probs_dropout_prob", bert.attention_probs_dropout_prob},
            {"max_position_embeddings", bert.max_position_embeddings},
            {"type_vocab_size", bert.type_vocab_size},
            {"initializer_range", bert.initializer_range},
            {"layer_norm_eps", bert.layer_norm_eps},
            {"pad_token_id", *bert.pad_token_id},
            {"position_embedding_type", bert.position_embedding_type},
            {"use_cache", bert.use_cache},
            {"classifier_dropout", nullptr},
        }};
  }();
  return *config_class;
}

absl::StatusOr<BertConfig> BertConfig::From(const PretrainedConfig& config) {
  BertConfig bert;
  ConfigReader reader(config);
  reader.Size("vocab_size", bert.vocab_size);
  reader.Size("hidden_size", bert.hidden_size);
  reader.Size("num_hidden_layers", bert.num_hidden_layers, 0);
  reader.Size("num_attention_heads", bert.num_attention_heads);
  reader.Size("intermediate_size", bert.intermediate_size);
  reader.String("hidden_act", bert.hidden_act);
  reader.Probability("hidden_dropout_prob", bert.hidden_dropout_prob);
  reader.Probability("attention_probs_dropout_prob",
                     bert.attention_probs_dropout_prob);
  reader.Size("max_position_embeddings", bert.max_position_embeddings);
  reader.Size("type_vocab_size", bert.type_vocab_size);
  reader.Number("initializer_range", bert.initializer_range);
  reader.Number("layer_norm_eps", bert.layer_norm_eps);
  reader.OptionalInt("pad_token_id", bert.pad_token_id);
  reader.OneOf("position_embedding_type", bert.position_embedding_type,
               {"absolute", "relative_key", "relative_key_query"});
  reader.Bool("use_cache", bert.use_cache);
  reader.Bool("is_decoder", bert.is_decoder);
  reader.Bool("add_cross_attention", bert.add_cross_attention);
  reader.Size("chunk_size_feed_forward", bert.chunk_size_feed_forward, 0);
  reader.Bool("output_attentions", bert.output_attentions);
  reader.Bool("output_hidden_states", bert.output_hidden_states);
  ReadHeads(config, reader, bert);
  CheckTogether(bert, reader);
  reader.PrunedHeads(bert.num_hidden_layers, bert.num_attention_heads,
                     bert.pruned_heads);
  if (!reader.ok()) return reader.status();
  return bert;
}

}  // namespace pretrained
