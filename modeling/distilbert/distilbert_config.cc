#include "modeling/distilbert/distilbert_config.h"

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "modeling/activation_names.h"
#include "modeling/config_reader.h"
#include "modeling/pretrained_config.h"

namespace pretrained {
namespace {

// What the peer would trip over later.
void CheckTogether(const DistilBertConfig& distil, ConfigReader& reader) {
  reader.Require(
      FindActivation(distil.activation) != nullptr, "activation",
      absl::StrCat("an activation function is expected: ", ListActivations()));
  reader.Require(distil.dim % distil.n_heads == 0, "dim",
                 absl::StrCat("a multiple of the ", distil.n_heads,
                              " attention heads is expected"));
  const int64_t padding = distil.pad_token_id.value_or(0);
  reader.Require(padding >= -distil.vocab_size && padding < distil.vocab_size,
                 "pad_token_id", "a token within vocab_size is expected");
}

}  // namespace

const ConfigClass& DistilBertConfigClass() {
  static const ConfigClass* const config_class = [] {
    const DistilBertConfig distil;
    return new ConfigClass{
        .model_type = "distilbert",
        .defaults =
            {
                {"vocab_size", distil.vocab_size},
                {"max_position_embeddings", distil.max_position_embeddings},
                {"sinusoidal_pos_embds", distil.sinusoidal_pos_embds},
                {"n_layers", distil.n_layers},
                {"n_heads", distil.n_heads},
                {"dim", distil.dim},
                {"hidden_dim", distil.hidden_dim},
                {"dropout", distil.dropout},
                {"attention_dropout", distil.attention_dropout},
                {"activation", distil.activation},
                {"initializer_range", distil.initializer_range},
                {"qa_dropout", distil.qa_dropout},
                {"seq_classif_dropout", distil.seq_classif_dropout},
                {"pad_token_id", *distil.pad_token_id},
            },
        .attribute_map = {{"hidden_size", "dim"},
                          {"num_attention_heads", "n_heads"},
                          {"num_hidden_layers", "n_layers"}}};
  }();
  return *config_class;
}

absl::StatusOr<DistilBertConfig> DistilBertConfig::From(
    const PretrainedConfig& config) {
  DistilBertConfig distil;
  ConfigReader reader(config);
  reader.Size("vocab_size", distil.vocab_size);
  reader.Size("max_position_embeddings", distil.max_position_embeddings);
  reader.Bool("sinusoidal_pos_embds", distil.sinusoidal_pos_embds);
  reader.Size("n_layers", distil.n_layers, 0);
  reader.Size("n_heads", distil.n_heads);
  reader.Size("dim", distil.dim);
  reader.Size("hidden_dim", distil.hidden_dim);
  reader.Probability("dropout", distil.dropout);
  reader.Probability("attention_dropout", distil.attention_dropout);
  reader.String("activation", distil.activation);
  reader.Number("initializer_range", distil.initializer_range);
  reader.Probability("qa_dropout", distil.qa_dropout);
  reader.Probability("seq_classif_dropout", distil.seq_classif_dropout);
  reader.OptionalInt("pad_token_id", distil.pad_token_id);
  reader.Size("chunk_size_feed_forward", distil.chunk_size_feed_forward, 0);
  reader.Bool("output_attentions", distil.output_attentions);
  reader.Bool("output_hidden_states", distil.output_hidden_states);
  distil.num_labels = config.num_labels();
  reader.Require(distil.num_labels >= 0, "num_labels",
                 "at least 0 is expected");
  if (!config.Get("problem_type").is_null()) {
    reader.OneOf("problem_type", distil.problem_type,
                 {"regression", "single_label_classification",
                  "multi_label_classification"});
  }
  CheckTogether(distil, reader);
  reader.PrunedHeads(distil.n_layers, distil.n_heads, distil.pruned_heads);
  if (!reader.ok()) return reader.status();
  return distil;
}

}  // namespace pretrained
