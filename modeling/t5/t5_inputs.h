#ifndef PRETRAINED_MODELING_T5_T5_INPUTS_H_
#define PRETRAINED_MODELING_T5_T5_INPUTS_H_

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "modeling/model_output.h"
#include "modeling/t5/t5_config.h"

namespace pretrained {

// The arguments of forward of the models with an encoder and a decoder: batch
// b, encoder tokens s, decoder tokens t, hidden size e. What is not given is
// undefined.
struct T5Inputs {
  at::Tensor input_ids;       // [b, s] of int64 or int32; or inputs_embeds, or
                              // encoder_outputs instead.
  at::Tensor attention_mask;  // [b, s]; of rank 3 with as many queries as the
                              // stacks have tokens, or 1.
  // [b, t] of the new tokens; or decoder_inputs_embeds, or labels instead.
  at::Tensor decoder_input_ids;
  at::Tensor decoder_attention_mask;  // [b, cached + t], or [b, t, cached + t].
  at::Tensor head_mask;               // [heads] or [layers, heads]; 1 keeps.
  // That of the encoder, when not given and the stacks are of one depth.
  at::Tensor decoder_head_mask;
  at::Tensor cross_attn_head_mask;
  // What the encoder returned before: its last_hidden_state spares another run;
  // hidden states and attentions, if any, are passed on to the output.
  BaseModelOutput encoder_outputs;
  KeyValueCache past_key_values;     // Four tensors a layer.
  at::Tensor inputs_embeds;          // [b, s, e]
  at::Tensor decoder_inputs_embeds;  // [b, t, e]
  // [b, t], -100 for what does not count. T5ForConditionalGeneration's alone.
  at::Tensor labels;
};

// The arguments of T5EncoderModel's forward, likewise.
struct T5EncoderInputs {
  at::Tensor input_ids;
  at::Tensor attention_mask;  // [b, s] or [b, s, s].
  at::Tensor head_mask;
  at::Tensor inputs_embeds;
};

// The inputs by the names of forward's arguments. "encoder_outputs.0" is the
// last hidden state, as the first of that tuple is; "encoder_outputs.1.N" and
// "encoder_outputs.2.N" are its hidden states and attentions.
// "past_key_values.L.N" is tensor N of layer L. kInvalidArgument, listing the
// names, for another one.
absl::StatusOr<T5Inputs> T5InputsByName(absl::string_view class_name,
                                        const NamedTensors& inputs,
                                        bool takes_labels);
absl::StatusOr<T5EncoderInputs> T5EncoderInputsByName(
    absl::string_view class_name, const NamedTensors& inputs);

// kInvalidArgument, naming the input, what it is and what was expected, for
// shapes or values that do not fit a model of this config. Values are looked at
// on the CPU only.
absl::Status CheckT5Inputs(const T5Config& config, const T5Inputs& inputs);
absl::Status CheckT5EncoderInputs(const T5Config& config,
                                  const T5EncoderInputs& inputs);

// What a decoder reads to predict `labels`: the start token, then all but the
// last of them, padding where a label is -100.
//
//   labels   [.., t] of int64 or int32, t >= 1
//   returns  the same shape and dtype
//
// kInvalidArgument where the config has no decoder_start_token_id, or no
// pad_token_id, and for labels that are neither of its vocabulary nor -100.
// Matches: transformers 4.34 modeling_t5.py `_shift_right`.
absl::StatusOr<at::Tensor> ShiftRight(const T5Config& config,
                                      const at::Tensor& labels);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_T5_T5_INPUTS_H_
