#ifndef PRETRAINED_MODELING_GPT2_GPT2_INPUTS_H_
#define PRETRAINED_MODELING_GPT2_GPT2_INPUTS_H_

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "modeling/gpt2/gpt2_config.h"
#include "modeling/model_output.h"
#include "modeling/named_inputs.h"

namespace pretrained {

// The arguments of GPT2Model's forward: batch b, tokens s, hidden size e. What
// is not given is undefined.
struct GPT2ModelInputs {
  at::Tensor input_ids;  // [b, s] of int64 or int32; or inputs_embeds instead.
  KeyValueCache past_key_values;  // Key and value, one pair a layer.
  // [b, cached + s], or [b, 1]: 1 attends, 0 does not. Any shape of as many
  // elements will do.
  at::Tensor attention_mask;
  at::Tensor token_type_ids;  // [1 or b, s]; their embeddings are tokens'.
  at::Tensor position_ids;    // [1 or b, s]
  at::Tensor head_mask;       // [heads] or [layers, heads]; 1 keeps.
  at::Tensor inputs_embeds;   // [b, s, e]
  // For a model with cross-attention: [1 or b, encoder tokens, e] and its mask,
  // [1 or b, encoder tokens] or [1 or b, s, encoder tokens].
  at::Tensor encoder_hidden_states;
  at::Tensor encoder_attention_mask;
};

// Those of the models with a head, which add labels.
struct GPT2HeadInputs : GPT2ModelInputs {
  at::Tensor labels;
};

// Takes GPT2Model's inputs by name; `with_encoder` is false for a class whose
// forward has no encoder states.
void TakeGPT2Inputs(NamedInputs& named, GPT2ModelInputs& inputs,
                    bool with_encoder = true);

// kInvalidArgument, naming the input, what it is and what was expected, for
// shapes or values that do not fit a model of this config. Values are looked at
// on the CPU only.
//   output_attentions  whether they are asked for: a model with cross-attention
//                      has them only with encoder states, as in the peer
absl::Status CheckGPT2Inputs(const GPT2Config& config,
                             const GPT2ModelInputs& inputs,
                             bool output_attentions);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_GPT2_GPT2_INPUTS_H_
