#ifndef PRETRAINED_MODELING_DISTILBERT_DISTILBERT_INPUTS_H_
#define PRETRAINED_MODELING_DISTILBERT_DISTILBERT_INPUTS_H_

#include <cstdint>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "modeling/distilbert/distilbert_config.h"
#include "modeling/named_inputs.h"

namespace pretrained {

// The arguments of DistilBertModel's forward: batch b, tokens s. What is not
// given is undefined.
struct DistilBertModelInputs {
  at::Tensor input_ids;  // [b, s] of int64 or int32; or inputs_embeds instead.
  at::Tensor attention_mask;  // [b, s]; 0 hides, all else shows.
  at::Tensor head_mask;       // [heads] or [layers, heads]; 1 keeps.
  at::Tensor inputs_embeds;   // [b, s, dim]
};

// Those of the models with a head, which add labels; with these the loss is
// computed. Their classes say which shape they have.
struct DistilBertHeadInputs : DistilBertModelInputs {
  at::Tensor labels;
};

// Where answers start and end; the loss wants both.
struct DistilBertForQuestionAnsweringInputs : DistilBertModelInputs {
  at::Tensor start_positions;  // [b] or [b, 1]
  at::Tensor end_positions;    // [b] or [b, 1]
};

// Takes the inputs of the model without a head by the names of forward's
// arguments.
void TakeDistilBertInputs(NamedInputs& named, DistilBertModelInputs& inputs);

// kInvalidArgument, naming the input, what it is and what was expected, for
// shapes or values that do not fit a model of this config. Values are looked at
// on the CPU only.
absl::Status CheckDistilBertInputs(const DistilBertConfig& config,
                                   const DistilBertModelInputs& inputs);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_DISTILBERT_DISTILBERT_INPUTS_H_
