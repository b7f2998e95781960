#include "modeling/transformer_shape.h"

#include <cstdint>
#include <initializer_list>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "device_map/memory_estimator.h"
#include "device_map/module_tree.h"
#include "modeling/model_layout.h"
#include "modeling/pretrained_config.h"

namespace pretrained {
namespace {

// The first of `names` that the config has a positive number under.
std::optional<int64_t> Number(const PretrainedConfig& config,
                              std::initializer_list<absl::string_view> names) {
  for (const absl::string_view name : names) {
    const auto& value = config.Get(name);
    if (value.is_number_integer() && value.get<int64_t>() > 0) {
      return value.get<int64_t>();
    }
  }
  return std::nullopt;
}

bool Flag(const PretrainedConfig& config, absl::string_view name) {
  const auto& value = config.Get(name);
  return value.is_boolean() && value.get<bool>();
}

// Whether the feed-forward network has an input matrix beside that which its
// activation is of.
bool IsGated(const ModelLayout& layout) {
  bool gated = false;
  ForEachModule(layout.tree.root,
                [&](const std::string&, const ModuleNode& node) {
                  gated |= node.name == "gate_proj" || node.name == "wi_1";
                });
  return gated;
}

}  // namespace

std::optional<TransformerShape> TransformerShapeOf(
    const PretrainedConfig& config, const ModelLayout& layout) {
  const auto hidden_size = Number(config, {"hidden_size"});
  const auto layers = Number(config, {"num_hidden_layers"});
  const auto heads = Number(config, {"num_attention_heads"});
  if (!hidden_size || !layers || !heads) return std::nullopt;
  TransformerShape shape{
      .layers = *layers, .hidden_size = *hidden_size, .heads = *heads};
  shape.head_size =
      Number(config, {"head_dim", "d_kv"}).value_or(*hidden_size / *heads);
  shape.key_value_heads =
      Number(config, {"num_key_value_heads"}).value_or(*heads);
  shape.intermediate_size =
      Number(config, {"intermediate_size", "n_inner", "d_ff", "ffn_dim"})
          .value_or(4 * *hidden_size);
  shape.feed_forward_inputs = IsGated(layout) ? 2 : 1;
  if (Flag(config, "is_encoder_decoder")) {
    shape.decoder_layers =
        Number(config, {"num_decoder_layers", "decoder_layers"})
            .value_or(*layers);
  }
  shape.has_cache = layout.can_generate;
  if (layout.can_generate || absl::StrContains(layout.class_name, "MaskedLM") ||
      absl::StrContains(layout.class_name, "PreTraining")) {
    shape.vocab_size = Number(config, {"vocab_size"}).value_or(0);
  }
  return shape;
}

}  // namespace pretrained
