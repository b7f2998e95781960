#ifndef PRETRAINED_MODELING_SEQ2SEQ_OUTPUT_H_
#define PRETRAINED_MODELING_SEQ2SEQ_OUTPUT_H_

#include <vector>

#include "ATen/core/Tensor.h"
#include "modeling/model_output.h"

namespace pretrained {

// What a model with an encoder and a decoder returns, under the names of the
// peer's Seq2SeqModelOutput, or Seq2SeqLMOutput where there are logits. What
// was not asked for is empty.
//
// Sizes: batch b, decoder tokens t, encoder tokens s, hidden size e.
struct Seq2SeqOutput {
  at::Tensor loss;    // A scalar; undefined without labels.
  at::Tensor logits;  // [b, t, vocabulary]; undefined without a head.
  at::Tensor last_hidden_state;  // [b, t, e], the decoder's; without a head.
  // Of the decoder, 4 tensors a layer.
  KeyValueCache past_key_values;
  std::vector<at::Tensor> decoder_hidden_states;  // layers + 1, [b, t, e]
  std::vector<at::Tensor> decoder_attentions;     // layers
  std::vector<at::Tensor> cross_attentions;       // layers
  at::Tensor encoder_last_hidden_state;           // [b, s, e]
  std::vector<at::Tensor> encoder_hidden_states;
  std::vector<at::Tensor> encoder_attentions;

  ModelOutput ToNamed() const;
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_SEQ2SEQ_OUTPUT_H_
