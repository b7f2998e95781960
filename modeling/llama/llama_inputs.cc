#include "modeling/llama/llama_inputs.h"

#include <cstdint>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "modeling/llama/llama_config.h"
#include "modeling/model_output.h"
#include "modeling/named_inputs.h"
#include "modeling/rotary_inputs.h"

namespace pretrained {
namespace {

void TakeModelInputs(NamedInputs& named, LlamaModelInputs& inputs) {
  named.Take("input_ids", inputs.input_ids);
  named.Take("attention_mask", inputs.attention_mask);
  named.Take("position_ids", inputs.position_ids);
  named.TakeCache("past_key_values", inputs.past_key_values);
  named.Take("inputs_embeds", inputs.inputs_embeds);
}

}  // namespace

absl::StatusOr<LlamaModelInputs> LlamaInputsByName(absl::string_view class_name,
                                                   const NamedTensors& inputs) {
  LlamaModelInputs result;
  NamedInputs named(class_name, inputs);
  TakeModelInputs(named, result);
  absl::Status status = named.Finish();
  if (!status.ok()) return status;
  return result;
}

absl::StatusOr<LlamaHeadInputs> LlamaHeadInputsByName(
    absl::string_view class_name, const NamedTensors& inputs) {
  LlamaHeadInputs result;
  NamedInputs named(class_name, inputs);
  TakeModelInputs(named, result);
  named.Take("labels", result.labels);
  absl::Status status = named.Finish();
  if (!status.ok()) return status;
  return result;
}

absl::StatusOr<LlamaInputSizes> CheckLlamaInputs(
    const LlamaConfig& config, int64_t vocab_size,
    const LlamaModelInputs& inputs) {
  absl::Status status = CheckIdsOrEmbeds(inputs.input_ids, inputs.inputs_embeds,
                                         config.hidden_size);
  if (!status.ok()) return status;
  const at::Tensor& main =
      inputs.input_ids.defined() ? inputs.input_ids : inputs.inputs_embeds;
  const LlamaInputSizes sizes = {
      .batch = main.size(0),
      .tokens = main.size(1),
      .cached = CachedLength(inputs.past_key_values)};
  const int64_t length = sizes.cached + sizes.tokens;
  status = CheckCache(
      inputs.past_key_values, config.num_hidden_layers, 2, 2, sizes.batch,
      [&](int64_t layer) { return config.num_key_heads(layer); },
      config.head_size());
  if (status.ok()) {
    status = CheckIds("input_ids", inputs.input_ids, vocab_size, "vocab_size");
  }
  if (status.ok()) {
    status = CheckShape("attention_mask", inputs.attention_mask,
                        {sizes.batch, length});
  }
  if (status.ok()) {
    status = CheckPositionIds(inputs.position_ids, sizes.batch, sizes.tokens,
                              length, "the number of cached and new tokens");
  }
  if (status.ok()) status = CheckRotaryLength(config.rotary, length);
  if (!status.ok()) return status;
  return sizes;
}

}  // namespace pretrained
