#include "modeling/bert/bert_inputs.h"

#include <cstdint>

#include "ATen/core/Tensor.h"
#include "ATen/ops/arange.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "modeling/bert/bert_config.h"
#include "modeling/model_output.h"
#include "modeling/named_inputs.h"

namespace pretrained {
namespace {

absl::Status CheckDecoderCache(const BertConfig& config,
                               const BertModelInputs& inputs, int64_t batch) {
  const KeyValueCache& cache = inputs.past_key_values;
  if (cache.empty()) return absl::OkStatus();
  if (!config.is_decoder) {
    return absl::InvalidArgumentError(
        "past_key_values: only a decoder takes them; set is_decoder in the "
        "config");
  }
  const bool cross = inputs.encoder_hidden_states.defined();
  absl::Status status =
      CheckCache(cache, config.num_hidden_layers, cross ? 4 : 2, 4, batch,
                 /*num_heads=*/-1, config.head_size());
  if (!status.ok()) return status;
  for (size_t layer = 0; layer < cache.size(); ++layer) {
    for (size_t n = 0; n < cache[layer].size(); ++n) {
      // Pruning takes heads of self-attention only.
      const int64_t heads = n < 2
                                ? config.num_heads(static_cast<int64_t>(layer))
                                : config.num_attention_heads;
      if (cache[layer][n].size(1) == heads) continue;
      return BadShape(absl::StrCat("past_key_values.", layer, ".", n),
                      cache[layer][n],
                      absl::StrCat("[", batch, ", ", heads, ", tokens, ",
                                   config.head_size(), "] is expected"));
    }
  }
  return absl::OkStatus();
}

// Masks and encoder states against the batch and its lengths.
absl::Status CheckMasks(const BertConfig& config, const BertModelInputs& inputs,
                        int64_t batch, int64_t length) {
  const int64_t keys = length + CachedLength(inputs.past_key_values);
  const at::Tensor& mask = inputs.attention_mask;
  if (mask.defined()) {
    const bool two = mask.dim() == 2 && mask.size(1) == keys;
    const bool three = mask.dim() == 3 && mask.size(2) == keys &&
                       (mask.size(1) == length || mask.size(1) == 1);
    if (!(two || three) || (mask.size(0) != batch && mask.size(0) != 1)) {
      return BadShape("attention_mask", mask,
                      absl::StrCat("[", batch, ", ", keys, "] or [", batch,
                                   ", ", length, ", ", keys, "] is expected"));
    }
  }
  const at::Tensor& states = inputs.encoder_hidden_states;
  if (!states.defined() || !config.is_decoder) return absl::OkStatus();
  if (!config.add_cross_attention) {
    return absl::InvalidArgumentError(
        "encoder_hidden_states: this model has no cross-attention; set "
        "add_cross_attention in the config");
  }
  if (states.dim() != 3 || states.size(2) != config.hidden_size ||
      (states.size(0) != batch && states.size(0) != 1)) {
    return BadShape("encoder_hidden_states", states,
                    absl::StrCat("[", batch, ", tokens, ", config.hidden_size,
                                 "] is expected"));
  }
  const at::Tensor& encoder_mask = inputs.encoder_attention_mask;
  if (encoder_mask.defined() &&
      (encoder_mask.dim() < 2 || encoder_mask.dim() > 3 ||
       encoder_mask.size(-1) != states.size(1))) {
    return BadShape(
        "encoder_attention_mask", encoder_mask,
        absl::StrCat("[batch, ", states.size(1), "] or [batch, ", length, ", ",
                     states.size(1), "] is expected"));
  }
  return absl::OkStatus();
}

// What the model has a row for: longer sequences are possible only where the
// caller gives token types, and positions are absolute and looked at one by
// one: the caller's, or those of BertPositions().
absl::Status CheckLength(const BertConfig& config,
                         const BertModelInputs& inputs, int64_t length) {
  const int64_t limit = config.max_position_embeddings;
  const int64_t total = length + CachedLength(inputs.past_key_values);
  const bool absolute = config.position_embedding_type == "absolute";
  const bool fits =
      (length <= limit || inputs.token_type_ids.defined()) &&
      (total <= limit || (absolute && (inputs.position_ids.defined() ||
                                       config.positions_pass_over_padding)));
  if (fits) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("the sequence has ", total,
                   " tokens, but the model has max_position_embeddings ", limit,
                   "; shorten it"));
}

absl::Status CheckChunks(const BertConfig& config, int64_t length) {
  const int64_t chunk = config.chunk_size_feed_forward;
  if (chunk == 0 || length % chunk == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("the sequence has ", length,
                   " tokens, but a multiple of chunk_size_feed_forward, ",
                   chunk, ", is expected"));
}

}  // namespace

void TakeBertInputs(BertInputSet set, NamedInputs& named,
                    BertModelInputs& inputs) {
  named.Take("input_ids", inputs.input_ids);
  named.Take("attention_mask", inputs.attention_mask);
  named.Take("token_type_ids", inputs.token_type_ids);
  named.Take("position_ids", inputs.position_ids);
  named.Take("head_mask", inputs.head_mask);
  named.Take("inputs_embeds", inputs.inputs_embeds);
  if (set == BertInputSet::kEncoder) return;
  named.Take("encoder_hidden_states", inputs.encoder_hidden_states);
  named.Take("encoder_attention_mask", inputs.encoder_attention_mask);
  if (set == BertInputSet::kEncoderStates) return;
  named.TakeCache("past_key_values", inputs.past_key_values);
}

absl::Status CheckInputSet(BertInputSet set, absl::string_view class_name,
                           const BertModelInputs& inputs) {
  absl::string_view given;
  if (set != BertInputSet::kAll && !inputs.past_key_values.empty()) {
    given = "past_key_values";
  }
  if (set == BertInputSet::kEncoder) {
    if (inputs.encoder_hidden_states.defined()) given = "encoder_hidden_states";
    if (inputs.encoder_attention_mask.defined()) {
      given = "encoder_attention_mask";
    }
  }
  if (given.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(given, ": ", class_name, " does not take it; leave it out"));
}

absl::Status CheckBertInputs(const BertConfig& config,
                             const BertModelInputs& inputs) {
  absl::Status status = CheckIdsOrEmbeds(inputs.input_ids, inputs.inputs_embeds,
                                         config.hidden_size);
  if (!status.ok()) return status;
  const at::Tensor& main =
      inputs.input_ids.defined() ? inputs.input_ids : inputs.inputs_embeds;
  const int64_t batch = main.size(0);
  const int64_t length = main.size(1);
  status = CheckLength(config, inputs, length);
  status.Update(CheckChunks(config, length));
  status.Update(
      CheckShape("token_type_ids", inputs.token_type_ids, {batch, length}));
  const at::Tensor& positions = inputs.position_ids;
  if (positions.defined() && (positions.dim() < 1 || positions.dim() > 2 ||
                              positions.size(-1) != length ||
                              (positions.dim() == 2 && positions.size(0) != 1 &&
                               positions.size(0) != batch))) {
    status.Update(
        BadShape("position_ids", positions,
                 absl::StrCat("[1 or ", batch, ", ", length, "] is expected")));
  }
  status.Update(
      CheckIds("input_ids", inputs.input_ids, config.vocab_size, "vocab_size"));
  status.Update(CheckIds("token_type_ids", inputs.token_type_ids,
                         config.type_vocab_size, "type_vocab_size"));
  status.Update(CheckIds("position_ids", positions,
                         config.max_position_embeddings,
                         "max_position_embeddings"));
  status.Update(CheckMasks(config, inputs, batch, length));
  status.Update(CheckDecoderCache(config, inputs, batch));
  return status;
}

absl::StatusOr<at::Tensor> BertPositions(const BertConfig& config,
                                         const BertModelInputs& inputs) {
  if (inputs.position_ids.defined() || !config.positions_pass_over_padding ||
      config.position_embedding_type != "absolute") {
    return inputs.position_ids;
  }
  if (!config.pad_token_id.has_value()) {
    return absl::InvalidArgumentError(
        "position_ids: they are counted from the config's pad_token_id, which "
        "is null; give them");
  }
  const int64_t padding = *config.pad_token_id;
  at::Tensor positions;
  if (inputs.input_ids.defined()) {
    const at::Tensor counts = inputs.input_ids.ne(padding).to(at::kLong);
    const int64_t cached = CachedLength(inputs.past_key_values);
    positions = counts.cumsum(1).add(cached).mul(counts).add(padding);
  } else {
    const at::Tensor& embeds = inputs.inputs_embeds;
    positions = at::arange(padding + 1, padding + 1 + embeds.size(1),
                           at::dtype(at::kLong).device(embeds.device()))
                    .unsqueeze(0);
  }
  absl::Status status =
      CheckIds("position_ids", positions, config.max_position_embeddings,
               "max_position_embeddings");
  if (status.ok()) return positions;
  return absl::InvalidArgumentError(absl::StrCat(
      "the sequence is too long for positions that count from pad_token_id + "
      "1: ",
      status.message(), "; shorten it"));
}

}  // namespace pretrained
