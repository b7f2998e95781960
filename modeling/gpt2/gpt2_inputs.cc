#include "modeling/gpt2/gpt2_inputs.h"

#include <cstdint>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "modeling/gpt2/gpt2_config.h"
#include "modeling/model_output.h"
#include "modeling/named_inputs.h"

namespace pretrained {
namespace {

bool IsOneOr(int64_t size, int64_t batch) { return size == 1 || size == batch; }

// One row for all, or one each.
absl::Status CheckRows(absl::string_view name, const at::Tensor& ids,
                       int64_t batch, int64_t length) {
  if (!ids.defined()) return absl::OkStatus();
  if (ids.dim() == 1 && ids.size(0) == length) return absl::OkStatus();
  if (ids.dim() == 2 && ids.size(1) == length && IsOneOr(ids.size(0), batch)) {
    return absl::OkStatus();
  }
  return BadShape(name, ids,
                  absl::StrCat("[1 or ", batch, ", ", length, "] is expected"));
}

// The table of positions, and so the causal mask, has an end.
absl::Status CheckLength(const GPT2Config& config, int64_t total) {
  if (total <= config.n_positions) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "the sequence has ", total, " tokens, but the model has n_positions ",
      config.n_positions, "; shorten it"));
}

absl::Status CheckMask(const at::Tensor& mask, int64_t batch, int64_t keys) {
  if (!mask.defined() || mask.numel() == batch * keys) return absl::OkStatus();
  if (mask.numel() == batch) return absl::OkStatus();  // One for all keys.
  return BadShape("attention_mask", mask,
                  absl::StrCat("[", batch, ", ", keys, "] is expected"));
}

absl::Status CheckEncoder(const GPT2Config& config,
                          const GPT2ModelInputs& inputs, int64_t batch,
                          int64_t length) {
  const at::Tensor& states = inputs.encoder_hidden_states;
  if (!states.defined()) return absl::OkStatus();
  if (!config.add_cross_attention) {
    return absl::InvalidArgumentError(
        "encoder_hidden_states: this model has no cross-attention; set "
        "add_cross_attention in the config");
  }
  if (states.dim() != 3 || states.size(2) != config.n_embd ||
      !IsOneOr(states.size(0), batch)) {
    return BadShape("encoder_hidden_states", states,
                    absl::StrCat("[1 or ", batch, ", tokens, ", config.n_embd,
                                 "] is expected"));
  }
  const at::Tensor& mask = inputs.encoder_attention_mask;
  if (!mask.defined()) return absl::OkStatus();
  const int64_t keys = states.size(1);
  const bool two = mask.dim() == 2;
  const bool three = mask.dim() == 3 && IsOneOr(mask.size(1), length);
  if (!(two || three) || mask.size(-1) != keys ||
      !IsOneOr(mask.size(0), batch)) {
    return BadShape("encoder_attention_mask", mask,
                    absl::StrCat("[", batch, ", ", keys, "] or [", batch, ", ",
                                 length, ", ", keys, "] is expected"));
  }
  return absl::OkStatus();
}

}  // namespace

void TakeGPT2Inputs(NamedInputs& named, GPT2ModelInputs& inputs,
                    bool with_encoder) {
  named.Take("input_ids", inputs.input_ids);
  named.TakeCache("past_key_values", inputs.past_key_values);
  named.Take("attention_mask", inputs.attention_mask);
  named.Take("token_type_ids", inputs.token_type_ids);
  named.Take("position_ids", inputs.position_ids);
  named.Take("head_mask", inputs.head_mask);
  named.Take("inputs_embeds", inputs.inputs_embeds);
  if (!with_encoder) return;
  named.Take("encoder_hidden_states", inputs.encoder_hidden_states);
  named.Take("encoder_attention_mask", inputs.encoder_attention_mask);
}

absl::Status CheckGPT2Inputs(const GPT2Config& config,
                             const GPT2ModelInputs& inputs,
                             bool output_attentions) {
  absl::Status status =
      CheckIdsOrEmbeds(inputs.input_ids, inputs.inputs_embeds, config.n_embd);
  if (!status.ok()) return status;
  const at::Tensor& main =
      inputs.input_ids.defined() ? inputs.input_ids : inputs.inputs_embeds;
  const int64_t batch = main.size(0);
  const int64_t length = main.size(1);
  status.Update(CheckCache(
      inputs.past_key_values, config.n_layer, 2, 2, batch,
      [&](int64_t layer) { return config.num_heads(layer); },
      config.head_size()));
  if (!status.ok()) return status;
  const int64_t total = length + CachedLength(inputs.past_key_values);
  status.Update(CheckLength(config, total));
  status.Update(
      CheckRows("token_type_ids", inputs.token_type_ids, batch, length));
  status.Update(CheckRows("position_ids", inputs.position_ids, batch, length));
  status.Update(
      CheckIds("input_ids", inputs.input_ids, config.vocab_size, "vocab_size"));
  status.Update(CheckIds("token_type_ids", inputs.token_type_ids,
                         config.vocab_size, "vocab_size"));
  status.Update(CheckIds("position_ids", inputs.position_ids,
                         config.n_positions, "n_positions"));
  status.Update(CheckMask(inputs.attention_mask, batch, total));
  status.Update(CheckEncoder(config, inputs, batch, length));
  if (output_attentions && config.add_cross_attention && config.n_layer > 0 &&
      !inputs.encoder_hidden_states.defined()) {
    status.Update(absl::InvalidArgumentError(
        "encoder_hidden_states: are not given, but a model with "
        "cross-attention has attentions to put out only with them; give them, "
        "or do not ask for attentions"));
  }
  return status;
}

}  // namespace pretrained
