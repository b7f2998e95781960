#include "modeling/gpt_neox/gpt_neox_inputs.h"

#include <algorithm>
#include <cstdint>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "modeling/gpt_neox/gpt_neox_config.h"
#include "modeling/model_output.h"
#include "modeling/named_inputs.h"
#include "modeling/rotary_inputs.h"

namespace pretrained {
namespace {

// Of any shape that has a number for each key, or one for all of a row.
absl::Status CheckMask(const at::Tensor& mask, int64_t batch, int64_t keys) {
  if (!mask.defined() || mask.numel() == batch * keys ||
      mask.numel() == batch) {
    return absl::OkStatus();
  }
  return BadShape("attention_mask", mask,
                  absl::StrCat("[", batch, ", ", keys, "] is expected"));
}

}  // namespace

void TakeGPTNeoXInputs(GPTNeoXInputSet set, NamedInputs& named,
                       GPTNeoXModelInputs& inputs) {
  named.Take("input_ids", inputs.input_ids);
  named.Take("attention_mask", inputs.attention_mask);
  if (set.has_token_types) {
    at::Tensor unread;
    named.Take("token_type_ids", unread);
  }
  named.Take("position_ids", inputs.position_ids);
  named.Take("head_mask", inputs.head_mask);
  named.Take("inputs_embeds", inputs.inputs_embeds);
  if (set.has_cache) named.TakeCache("past_key_values", inputs.past_key_values);
}

absl::StatusOr<GPTNeoXInputSizes> CheckGPTNeoXInputs(
    const GPTNeoXConfig& config, int64_t vocab_size,
    const GPTNeoXModelInputs& inputs) {
  absl::Status status = CheckIdsOrEmbeds(inputs.input_ids, inputs.inputs_embeds,
                                         config.hidden_size);
  if (!status.ok()) return status;
  const at::Tensor& main =
      inputs.input_ids.defined() ? inputs.input_ids : inputs.inputs_embeds;
  const GPTNeoXInputSizes sizes = {
      .batch = main.size(0),
      .tokens = main.size(1),
      .cached = CachedLength(inputs.past_key_values)};
  const int64_t length = sizes.cached + sizes.tokens;
  status = CheckCache(
      inputs.past_key_values, config.num_hidden_layers, 2, 2, sizes.batch,
      [&](int64_t layer) { return config.num_heads(layer); },
      config.head_size());
  if (status.ok()) {
    status = CheckIds("input_ids", inputs.input_ids, vocab_size, "vocab_size");
  }
  if (status.ok()) {
    status = CheckMask(inputs.attention_mask, sizes.batch, length);
  }
  if (status.ok()) {
    status = CheckPositionIds(
        inputs.position_ids, sizes.batch, sizes.tokens,
        std::max(length, config.max_position_embeddings),
        "the larger of max_position_embeddings and the number of cached and "
        "new tokens");
  }
  if (status.ok()) status = CheckRotaryLength(config.rotary, length);
  if (!status.ok()) return status;
  return sizes;
}

}  // namespace pretrained
