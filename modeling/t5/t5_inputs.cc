#include "modeling/t5/t5_inputs.h"

#include <cstdint>
#include <string>
#include <vector>

#include "ATen/core/Tensor.h"
#include "ATen/ops/cat.h"
#include "ATen/ops/full.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "modeling/model_output.h"
#include "modeling/named_inputs.h"
#include "modeling/t5/t5_config.h"

namespace pretrained {
namespace {

constexpr int64_t kIgnoredLabel = -100;
// More states than any encoder has, so that a name cannot make us allocate
// much.
constexpr int64_t kMaxStates = 100'000;

// Takes "encoder_outputs.1.N" and "encoder_outputs.2.N"; whether it was one.
bool TakeEncoderState(absl::string_view name, const at::Tensor& tensor,
                      BaseModelOutput& outputs) {
  const std::vector<absl::string_view> parts = absl::StrSplit(name, '.');
  int64_t index = 0;
  if (parts.size() != 3 || parts[0] != "encoder_outputs" ||
      (parts[1] != "1" && parts[1] != "2") ||
      !absl::SimpleAtoi(parts[2], &index) || index < 0 || index >= kMaxStates) {
    return false;
  }
  std::vector<at::Tensor>& states =
      parts[1] == "1" ? outputs.hidden_states : outputs.attentions;
  if (static_cast<int64_t>(states.size()) <= index) states.resize(index + 1);
  states[index] = tensor;
  return true;
}

// One mask of a stack with `queries` tokens over `keys`; `queries` may be
// several, where several stacks use it.
absl::Status CheckMask(absl::string_view name, const at::Tensor& mask,
                       int64_t batch, const std::vector<int64_t>& queries,
                       int64_t keys) {
  if (!mask.defined()) return absl::OkStatus();
  bool fits = mask.dim() == 2 || mask.dim() == 3;
  fits = fits && (mask.size(0) == batch || mask.size(0) == 1) &&
         mask.size(-1) == keys;
  for (const int64_t count : queries) {
    fits =
        fits && (mask.dim() == 2 || mask.size(1) == 1 || mask.size(1) == count);
  }
  if (fits) return absl::OkStatus();
  return BadShape(name, mask,
                  absl::StrCat("[", batch, ", ", keys, "] or [", batch, ", ",
                               absl::StrJoin(queries, " and "), ", ", keys,
                               "] is expected"));
}

absl::Status CheckHeadMask(absl::string_view name, const at::Tensor& mask,
                           int64_t num_layers, int64_t num_heads) {
  // Rank 5 is taken as it is.
  if (!mask.defined() || mask.dim() == 5) return absl::OkStatus();
  const bool fits = (mask.dim() == 1 || mask.dim() == 2) &&
                    (mask.dim() == 1 || mask.size(0) == num_layers) &&
                    (mask.size(-1) == num_heads || mask.size(-1) == 1);
  if (fits) return absl::OkStatus();
  return BadShape(name, mask,
                  absl::StrCat("[", num_heads, "] or [", num_layers, ", ",
                               num_heads, "] is expected"));
}

// Tokens of the vocabulary, or -100.
absl::Status CheckLabels(const T5Config& config, const at::Tensor& labels) {
  if (!labels.defined()) return absl::OkStatus();
  if (at::isFloatingType(labels.scalar_type()) || !labels.device().is_cpu()) {
    return CheckIds("labels", labels, config.vocab_size, "vocab_size");
  }
  return CheckIds("labels", labels.masked_select(labels.ne(kIgnoredLabel)),
                  config.vocab_size, "vocab_size (-100 is ignored)");
}

// Sizes of the encoder's side: [batch, tokens, ..].
absl::StatusOr<at::Tensor> CheckEncoderSide(const T5Config& config,
                                            const T5Inputs& inputs) {
  const at::Tensor& states = inputs.encoder_outputs.last_hidden_state;
  if (states.defined()) {
    if (states.dim() != 3 || states.size(2) != config.d_model ||
        states.numel() == 0) {
      return BadShape(
          "encoder_outputs.0", states,
          absl::StrCat("[batch, tokens, ", config.d_model, "] is expected"));
    }
    return states;
  }
  if (!inputs.encoder_outputs.hidden_states.empty() ||
      !inputs.encoder_outputs.attentions.empty()) {
    return absl::InvalidArgumentError(
        "encoder_outputs.0: is not given, but other outputs of the encoder "
        "are; give its last_hidden_state");
  }
  absl::Status status =
      CheckIdsOrEmbeds(inputs.input_ids, inputs.inputs_embeds, config.d_model);
  status.Update(
      CheckIds("input_ids", inputs.input_ids, config.vocab_size, "vocab_size"));
  status.Update(CheckHeadMask("head_mask", inputs.head_mask, config.num_layers,
                              config.num_heads));
  if (!status.ok()) return status;
  return inputs.input_ids.defined() ? inputs.input_ids : inputs.inputs_embeds;
}

absl::Status CheckDecoderSide(const T5Config& config, const T5Inputs& inputs,
                              int64_t encoder_batch) {
  absl::Status status =
      CheckIdsOrEmbeds(inputs.decoder_input_ids, inputs.decoder_inputs_embeds,
                       config.d_model, "decoder_");
  status.Update(CheckIds("decoder_input_ids", inputs.decoder_input_ids,
                         config.vocab_size, "vocab_size"));
  if (!status.ok()) return status;
  const bool by_ids = inputs.decoder_input_ids.defined();
  const at::Tensor& main =
      by_ids ? inputs.decoder_input_ids : inputs.decoder_inputs_embeds;
  const int64_t batch = main.size(0);
  const int64_t length = main.size(1);
  if (batch != encoder_batch) {
    return BadShape(by_ids ? "decoder_input_ids" : "decoder_inputs_embeds",
                    main,
                    absl::StrCat("a batch of ", encoder_batch,
                                 ", as the encoder's, is expected"));
  }
  status.Update(CheckLabels(config, inputs.labels));
  if (inputs.labels.defined() && inputs.labels.numel() != batch * length) {
    status.Update(
        BadShape("labels", inputs.labels,
                 absl::StrCat("[", batch, ", ", length, "] is expected")));
  }
  status.Update(CheckCache(
      inputs.past_key_values, config.num_decoder_layers,
      /*min_tensors=*/4, /*max_tensors=*/4, batch,
      [&](int64_t layer) -> int64_t {
        const bool pruned =
            config.shares_stacks() && config.pruned_heads.contains(layer);
        return pruned ? -1 : config.num_heads;
      },
      config.d_kv));
  status.Update(CheckMask("decoder_attention_mask",
                          inputs.decoder_attention_mask, batch, {length},
                          length + CachedLength(inputs.past_key_values)));
  status.Update(CheckHeadMask("decoder_head_mask", inputs.decoder_head_mask,
                              config.num_decoder_layers, config.num_heads));
  status.Update(CheckHeadMask("cross_attn_head_mask",
                              inputs.cross_attn_head_mask,
                              config.num_decoder_layers, config.num_heads));
  return status;
}

}  // namespace

absl::StatusOr<T5Inputs> T5InputsByName(absl::string_view class_name,
                                        const NamedTensors& inputs,
                                        bool takes_labels) {
  T5Inputs result;
  NamedTensors rest;
  for (const auto& [name, tensor] : inputs) {
    if (!TakeEncoderState(name, tensor, result.encoder_outputs)) {
      rest.emplace(name, tensor);
    }
  }
  NamedInputs named(class_name, rest);
  named.Take("input_ids", result.input_ids);
  named.Take("attention_mask", result.attention_mask);
  named.Take("decoder_input_ids", result.decoder_input_ids);
  named.Take("decoder_attention_mask", result.decoder_attention_mask);
  named.Take("head_mask", result.head_mask);
  named.Take("decoder_head_mask", result.decoder_head_mask);
  named.Take("cross_attn_head_mask", result.cross_attn_head_mask);
  named.Take("encoder_outputs.0", result.encoder_outputs.last_hidden_state);
  named.TakeCache("past_key_values", result.past_key_values);
  named.Take("inputs_embeds", result.inputs_embeds);
  named.Take("decoder_inputs_embeds", result.decoder_inputs_embeds);
  if (takes_labels) named.Take("labels", result.labels);
  absl::Status status = named.Finish();
  if (!status.ok()) return status;
  return result;
}

absl::StatusOr<T5EncoderInputs> T5EncoderInputsByName(
    absl::string_view class_name, const NamedTensors& inputs) {
  T5EncoderInputs result;
  NamedInputs named(class_name, inputs);
  named.Take("input_ids", result.input_ids);
  named.Take("attention_mask", result.attention_mask);
  named.Take("head_mask", result.head_mask);
  named.Take("inputs_embeds", result.inputs_embeds);
  absl::Status status = named.Finish();
  if (!status.ok()) return status;
  return result;
}

absl::Status CheckT5Inputs(const T5Config& config, const T5Inputs& inputs) {
  absl::StatusOr<at::Tensor> encoder = CheckEncoderSide(config, inputs);
  if (!encoder.ok()) return encoder.status();
  absl::Status status = CheckDecoderSide(config, inputs, encoder->size(0));
  if (!status.ok()) return status;
  const at::Tensor& decoder = inputs.decoder_input_ids.defined()
                                  ? inputs.decoder_input_ids
                                  : inputs.decoder_inputs_embeds;
  // The mask serves cross-attention, and the encoder where that runs.
  std::vector<int64_t> queries;
  if (!inputs.encoder_outputs.last_hidden_state.defined()) {
    queries.push_back(encoder->size(1));
  }
  queries.push_back(decoder.size(1));
  return CheckMask("attention_mask", inputs.attention_mask, encoder->size(0),
                   queries, encoder->size(1));
}

absl::Status CheckT5EncoderInputs(const T5Config& config,
                                  const T5EncoderInputs& inputs) {
  absl::StatusOr<at::Tensor> main =
      CheckEncoderSide(config, {.input_ids = inputs.input_ids,
                                .head_mask = inputs.head_mask,
                                .inputs_embeds = inputs.inputs_embeds});
  if (!main.ok()) return main.status();
  return CheckMask("attention_mask", inputs.attention_mask, main->size(0),
                   {main->size(1)}, main->size(1));
}

absl::StatusOr<at::Tensor> ShiftRight(const T5Config& config,
                                      const at::Tensor& labels) {
  if (!config.decoder_start_token_id.has_value()) {
    return absl::InvalidArgumentError(
        "labels: cannot be shifted, since the config has no "
        "decoder_start_token_id; set it (T5 starts with its pad_token_id), or "
        "give decoder_input_ids");
  }
  if (!config.pad_token_id.has_value()) {
    return absl::InvalidArgumentError(
        "labels: cannot be shifted, since the config has no pad_token_id to "
        "put in the place of -100; set it, or give decoder_input_ids");
  }
  if (labels.dim() < 1 || labels.size(-1) < 1) {
    return BadShape("labels", labels,
                    "[batch, tokens], with a token at least, is expected");
  }
  absl::Status status = CheckLabels(config, labels);
  if (!status.ok()) return status;
  std::vector<int64_t> first = labels.sizes().vec();
  first.back() = 1;
  const at::Tensor shifted =
      at::cat({at::full(first, *config.decoder_start_token_id,
                        labels.options().requires_grad(false)),
               labels.narrow(-1, 0, labels.size(-1) - 1)},
              -1);
  return shifted.masked_fill(shifted.eq(kIgnoredLabel), *config.pad_token_id);
}

}  // namespace pretrained
