#include "modeling/opt/opt_inputs.h"

#include <cstdint>

#include "ATen/core/Tensor.h"
#include "ATen/ops/arange.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "modeling/model_output.h"
#include "modeling/named_inputs.h"
#include "modeling/opt/opt_config.h"

namespace pretrained {
namespace {

// Position 0 is row 2 of the table; row 1 is for tokens that do not attend.
constexpr int64_t kRowOfNoToken = 1;

// [b, s] of int64. A mask is read as whole numbers: a fraction counts as 0.
at::Tensor PositionRows(const at::Tensor& mask, const OPTInputFacts& facts,
                        at::Device device) {
  const int64_t keys = facts.cached + facts.tokens;
  if (!mask.defined()) {
    return (at::arange(facts.cached, keys,
                       at::dtype(at::kLong).device(device)) +
            (kRowOfNoToken + 1))
        .unsqueeze(0);
  }
  const at::Tensor whole = mask.to(device, at::kLong);
  return (whole.cumsum(1) * whole + kRowOfNoToken)
      .narrow(1, facts.cached, facts.tokens);
}

absl::Status CheckRows(const at::Tensor& rows, const OPTConfig& config) {
  if (!rows.is_cpu()) return absl::OkStatus();
  const int64_t last = rows.max().item().toLong() - kRowOfNoToken;
  if (last > config.max_position_embeddings) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the sequence has ", last,
        " tokens that attend, cached ones included, but the model has "
        "max_position_embeddings ",
        config.max_position_embeddings, "; shorten it"));
  }
  if (rows.min().item().toLong() < 0) {
    return absl::InvalidArgumentError(
        "attention_mask: holds a number below 0, but 1 where a token attends "
        "and 0 where it does not are expected");
  }
  return absl::OkStatus();
}

}  // namespace

void TakeOPTInputs(NamedInputs& named, OPTModelInputs& inputs) {
  named.Take("input_ids", inputs.input_ids);
  named.Take("attention_mask", inputs.attention_mask);
  named.Take("head_mask", inputs.head_mask);
  named.TakeCache("past_key_values", inputs.past_key_values);
  named.Take("inputs_embeds", inputs.inputs_embeds);
}

absl::StatusOr<OPTInputFacts> CheckOPTInputs(const OPTConfig& config,
                                             int64_t vocab_size,
                                             const OPTModelInputs& inputs) {
  absl::Status status = CheckIdsOrEmbeds(inputs.input_ids, inputs.inputs_embeds,
                                         config.word_embed_proj_dim);
  if (!status.ok()) return status;
  const at::Tensor& main =
      inputs.input_ids.defined() ? inputs.input_ids : inputs.inputs_embeds;
  OPTInputFacts facts{.batch = main.size(0),
                      .tokens = main.size(1),
                      .cached = CachedLength(inputs.past_key_values)};
  status = CheckCache(
      inputs.past_key_values, config.num_hidden_layers, 2, 2, facts.batch,
      [&](int64_t layer) { return config.num_heads(layer); },
      config.head_size());
  if (status.ok()) {
    status = CheckIds("input_ids", inputs.input_ids, vocab_size, "vocab_size");
  }
  if (status.ok()) {
    status = CheckShape("attention_mask", inputs.attention_mask,
                        {facts.batch, facts.cached + facts.tokens});
  }
  if (status.ok()) {
    status = CheckShape("head_mask", inputs.head_mask,
                        {config.num_hidden_layers, config.num_attention_heads});
  }
  if (!status.ok()) return status;
  facts.position_rows =
      PositionRows(inputs.attention_mask, facts, main.device());
  status = CheckRows(facts.position_rows, config);
  if (!status.ok()) return status;
  return facts;
}

}  // namespace pretrained
