#include "modeling/t5/t5_config.h"

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "modeling/activation_names.h"
#include "modeling/config_reader.h"
#include "modeling/pretrained_config.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using Json = nlohmann::ordered_json;

struct FeedForward {
  bool is_known = false;  // Of the form "ACTIVATION" or "gated-ACTIVATION".
  std::string activation;
  bool is_gated = false;
};

FeedForward ParseFeedForward(const std::string& projection) {
  const std::vector<std::string> parts = absl::StrSplit(projection, '-');
  FeedForward result{.activation = parts.back(),
                     .is_gated = parts[0] == "gated"};
  result.is_known = parts.size() == 1 || (parts.size() == 2 && result.is_gated);
  // The activation that v1.1 was trained with, which its configs call so.
  if (projection == "gated-gelu") result.activation = "gelu_new";
  return result;
}

bool IsAbsent(const Json& attributes, const char* name) {
  auto found = attributes.find(name);
  return found == attributes.end() || found->is_null();
}

// What the constructor works out; values that are there already stay.
void Derive(Json& attributes) {
  if (IsAbsent(attributes, "num_decoder_layers") &&
      !IsAbsent(attributes, "num_layers")) {
    attributes["num_decoder_layers"] = Json(attributes["num_layers"]);
  }
  auto projection = attributes.find("feed_forward_proj");
  if (projection == attributes.end() || !projection->is_string()) return;
  const FeedForward feed_forward =
      ParseFeedForward(projection->get<std::string>());
  if (IsAbsent(attributes, "dense_act_fn")) {
    attributes["dense_act_fn"] = feed_forward.activation;
  }
  if (IsAbsent(attributes, "is_gated_act")) {
    attributes["is_gated_act"] = feed_forward.is_gated;
  }
}

// `config` with what follows from its attributes set.
PretrainedConfig WithDerived(const PretrainedConfig& config) {
  Json attributes = Json::object();
  for (const char* name :
       {"num_layers", "num_decoder_layers", "feed_forward_proj", "dense_act_fn",
        "is_gated_act"}) {
    attributes[name] = config.Get(name);
  }
  Derive(attributes);
  PretrainedConfig derived = config;
  for (const auto& [name, value] : attributes.items()) {
    derived.Set(name, value);
  }
  return derived;
}

void ReadFeedForward(ConfigReader& reader, T5Config& t5) {
  std::string projection;
  reader.String("feed_forward_proj", projection);
  if (!reader.ok()) return;
  reader.Require(ParseFeedForward(projection).is_known, "feed_forward_proj",
                 "an activation, or gated- and an activation, is expected: "
                 "relu, gated-gelu");
  reader.String("dense_act_fn", t5.dense_act_fn);
  reader.Bool("is_gated_act", t5.is_gated_act);
  reader.Require(
      FindActivation(t5.dense_act_fn) != nullptr, "dense_act_fn",
      absl::StrCat("an activation function is expected: ", ListActivations()));
}

void ReadBuckets(ConfigReader& reader, T5Config& t5) {
  // The encoder halves the buckets for the two directions, and both stacks
  // halve theirs for near and far distances.
  reader.Size("relative_attention_num_buckets",
              t5.relative_attention_num_buckets, /*minimum=*/4);
  reader.Size("relative_attention_max_distance",
              t5.relative_attention_max_distance);
  if (!reader.ok()) return;
  reader.Require(
      t5.relative_attention_max_distance >
          t5.relative_attention_num_buckets / 2,
      "relative_attention_max_distance",
      absl::StrCat("more than half of the ", t5.relative_attention_num_buckets,
                   " relative_attention_num_buckets is expected"));
}

}  // namespace

const ConfigClass& T5ConfigClass() {
  static const ConfigClass* const config_class = [] {
    const T5Config t5;
    return new ConfigClass{
        .model_type = "t5",
        .defaults =
            {
                {"vocab_size", t5.vocab_size},
                {"d_model", t5.d_model},
                {"d_kv", t5.d_kv},
                {"d_ff", t5.d_ff},
                {"num_layers", t5.num_layers},
                {"num_decoder_layers", nullptr},
                {"num_heads", t5.num_heads},
                {"relative_attention_num_buckets",
                 t5.relative_attention_num_buckets},
                {"relative_attention_max_distance",
                 t5.relative_attention_max_distance},
                {"dropout_rate", t5.dropout_rate},
                {"layer_norm_epsilon", t5.layer_norm_epsilon},
                {"initializer_factor", t5.initializer_factor},
                {"feed_forward_proj", "relu"},
                {"is_encoder_decoder", t5.is_encoder_decoder},
                {"use_cache", t5.use_cache},
                {"pad_token_id", *t5.pad_token_id},
                {"eos_token_id", 1},
                {"classifier_dropout", 0.0},
            },
        .attribute_map = {{"hidden_size", "d_model"},
                          {"num_attention_heads", "num_heads"},
                          {"num_hidden_layers", "num_layers"}},
        .derive = Derive};
  }();
  return *config_class;
}

absl::StatusOr<T5Config> T5Config::From(const PretrainedConfig& config) {
  const PretrainedConfig derived = WithDerived(config);
  T5Config t5;
  ConfigReader reader(derived);
  reader.Size("vocab_size", t5.vocab_size);
  reader.Size("d_model", t5.d_model);
  reader.Size("d_kv", t5.d_kv);
  reader.Size("d_ff", t5.d_ff);
  reader.Size("num_layers", t5.num_layers, 0);
  reader.Size("num_decoder_layers", t5.num_decoder_layers, 0);
  reader.Size("num_heads", t5.num_heads);
  ReadBuckets(reader, t5);
  reader.Probability("dropout_rate", t5.dropout_rate);
  reader.Number("layer_norm_epsilon", t5.layer_norm_epsilon);
  reader.Number("initializer_factor", t5.initializer_factor);
  ReadFeedForward(reader, t5);
  reader.Bool("use_cache", t5.use_cache);
  reader.Bool("is_decoder", t5.is_decoder);
  reader.Bool("is_encoder_decoder", t5.is_encoder_decoder);
  reader.Bool("tie_word_embeddings", t5.tie_word_embeddings);
  reader.Bool("tie_encoder_decoder", t5.tie_encoder_decoder);
  reader.OptionalInt("pad_token_id", t5.pad_token_id);
  reader.OptionalInt("decoder_start_token_id", t5.decoder_start_token_id);
  reader.Bool("output_attentions", t5.output_attentions);
  reader.Bool("output_hidden_states", t5.output_hidden_states);
  reader.PrunedHeads(t5.num_layers, t5.num_heads, t5.pruned_heads);
  if (!reader.ok()) return reader.status();
  return t5;
}

}  // namespace pretrained
