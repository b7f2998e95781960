#include "modeling/distilbert/distilbert_inputs.h"

#include <cstdint>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "modeling/distilbert/distilbert_config.h"
#include "modeling/named_inputs.h"

namespace pretrained {

void TakeDistilBertInputs(NamedInputs& named, DistilBertModelInputs& inputs) {
  named.Take("input_ids", inputs.input_ids);
  named.Take("attention_mask", inputs.attention_mask);
  named.Take("head_mask", inputs.head_mask);
  named.Take("inputs_embeds", inputs.inputs_embeds);
}

absl::Status CheckDistilBertInputs(const DistilBertConfig& config,
                                   const DistilBertModelInputs& inputs) {
  absl::Status status =
      CheckIdsOrEmbeds(inputs.input_ids, inputs.inputs_embeds, config.dim);
  if (!status.ok()) return status;
  const at::Tensor& main =
      inputs.input_ids.defined() ? inputs.input_ids : inputs.inputs_embeds;
  const int64_t length = main.size(1);
  if (length > config.max_position_embeddings) {
    return absl::InvalidArgumentError(
        absl::StrCat("the sequence has ", length,
                     " tokens, but the model has max_position_embeddings ",
                     config.max_position_embeddings, "; shorten it"));
  }
  const int64_t chunk = config.chunk_size_feed_forward;
  if (chunk != 0 && length % chunk != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("the sequence has ", length,
                     " tokens, but a multiple of chunk_size_feed_forward, ",
                     chunk, ", is expected"));
  }
  status.Update(CheckShape("attention_mask", inputs.attention_mask,
                           {main.size(0), length}));
  status.Update(
      CheckIds("input_ids", inputs.input_ids, config.vocab_size, "vocab_size"));
  return status;
}

}  // namespace pretrained
