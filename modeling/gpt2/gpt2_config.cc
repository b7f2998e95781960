#include "modeling/gpt2/gpt2_config.h"

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "modeling/activation_names.h"
#include "modeling/config_reader.h"
#include "modeling/pretrained_config.h"

namespace pretrained {
namespace {

// What this library does not do, or the peer would trip over.
void Require(const PretrainedConfig& config, const GPT2Config& gpt2,
             ConfigReader& reader) {
  reader.Require(
      FindActivation(gpt2.activation_function) != nullptr,
      "activation_function",
      absl::StrCat("an activation function is expected: ", ListActivations()));
  reader.Require(gpt2.n_embd % gpt2.n_head == 0, "n_embd",
                 absl::StrCat("a multiple of the ", gpt2.n_head,
                              " attention heads is expected"));
  reader.Require(config.num_labels() >= 0, "num_labels",
                 "at least 0 is expected");
}

}  // namespace

const ConfigClass& GPT2ConfigClass() {
  static const ConfigClass* const config_class = [] {
    const GPT2Config gpt2;
    return new ConfigClass{
        .model_type = "gpt2",
        .defaults =
            {
                {"vocab_size", gpt2.vocab_size},
                {"n_positions", gpt2.n_positions},
                {"n_embd", gpt2.n_embd},
                {"n_layer", gpt2.n_layer},
                {"n_head", gpt2.n_head},
                {"n_inner", nullptr},
                {"activation_function", gpt2.activation_function},
                {"resid_pdrop", gpt2.resid_pdrop},
                {"embd_pdrop", gpt2.embd_pdrop},
                {"attn_pdrop", gpt2.attn_pdrop},
                {"layer_norm_epsilon", gpt2.layer_norm_epsilon},
                {"initializer_range", gpt2.initializer_range},
                {"summary_type", "cls_index"},
                {"summary_use_proj", true},
                {"summary_activation", nullptr},
                {"summary_first_dropout", 0.1},
                {"summary_proj_to_labels", true},
                {"scale_attn_weights", gpt2.scale_attn_weights},
                {"use_cache", gpt2.use_cache},
                {"scale_attn_by_inverse_layer_idx",
                 gpt2.scale_attn_by_inverse_layer_idx},
                {"reorder_and_upcast_attn", gpt2.reorder_and_upcast_attn},
                {"bos_token_id", 50256},
                {"eos_token_id", 50256},
            },
        .attribute_map = {{"hidden_size", "n_embd"},
                          {"max_position_embeddings", "n_positions"},
                          {"num_attention_heads", "n_head"},
                          {"num_hidden_layers", "n_layer"}}};
  }();
  return *config_class;
}

absl::StatusOr<GPT2Config> GPT2Config::From(const PretrainedConfig& config) {
  GPT2Config gpt2;
  ConfigReader reader(config);
  reader.Size("vocab_size", gpt2.vocab_size);
  reader.Size("n_positions", gpt2.n_positions);
  reader.Size("n_embd", gpt2.n_embd);
  reader.Size("n_layer", gpt2.n_layer, 0);
  reader.Size("n_head", gpt2.n_head);
  if (!config.Get("n_inner").is_null()) {
    int64_t inner = 1;
    reader.Size("n_inner", inner);
    gpt2.n_inner = inner;
  }
  reader.String("activation_function", gpt2.activation_function);
  reader.Probability("resid_pdrop", gpt2.resid_pdrop);
  reader.Probability("embd_pdrop", gpt2.embd_pdrop);
  reader.Probability("attn_pdrop", gpt2.attn_pdrop);
  reader.Number("layer_norm_epsilon", gpt2.layer_norm_epsilon);
  reader.Number("initializer_range", gpt2.initializer_range);
  reader.Bool("scale_attn_weights", gpt2.scale_attn_weights);
  reader.Bool("scale_attn_by_inverse_layer_idx",
              gpt2.scale_attn_by_inverse_layer_idx);
  reader.Bool("reorder_and_upcast_attn", gpt2.reorder_and_upcast_attn);
  reader.Bool("use_cache", gpt2.use_cache);
  reader.Bool("add_cross_attention", gpt2.add_cross_attention);
  reader.Bool("output_attentions", gpt2.output_attentions);
  reader.Bool("output_hidden_states", gpt2.output_hidden_states);
  reader.OptionalInt("pad_token_id", gpt2.pad_token_id);
  if (!config.Get("problem_type").is_null()) {
    reader.OneOf("problem_type", gpt2.problem_type,
                 {"regression", "single_label_classification",
                  "multi_label_classification"});
  }
  reader.PrunedHeads(gpt2.n_layer, gpt2.n_head, gpt2.pruned_heads);
  Require(config, gpt2, reader);
  if (!reader.ok()) return reader.status();
  gpt2.num_labels = config.num_labels();
  return gpt2;
}

}  // namespace pretrained
