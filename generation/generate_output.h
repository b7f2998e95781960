#ifndef PRETRAINED_GENERATION_GENERATE_OUTPUT_H_
#define PRETRAINED_GENERATION_GENERATE_OUTPUT_H_

#include <cstdint>
#include <vector>

#include "ATen/core/Tensor.h"

namespace pretrained {

// What was generated: batch b, texts n = b * num_return_sequences, rows r in
// the making (b * num_beams; else n), vocabulary v, steps s.
//
// Matches: transformers 4.34 `GreedySearchDecoderOnlyOutput` and its kin.
struct GenerateOutput {
  // [n, tokens] of int64: prompts (of a model with an encoder: what the decoder
  // starts with) and what follows; pad_token_id after the end.
  at::Tensor sequences;
  // How many of them are new, padding after the end of some included.
  int64_t new_tokens = 0;
  // Of beams: [n], the sum of log probabilities over the length to the power of
  // length_penalty.
  at::Tensor sequences_scores;
  // With output_scores: of each step the processed scores [r, v]; of beams the
  // beam that each token of `sequences` comes from, [n, s], -1 after the end.
  std::vector<at::Tensor> scores;
  at::Tensor beam_indices;
  // With output_hidden_states and output_attentions: of each step, of each
  // layer (hidden states: and before the first), of the decoder.
  std::vector<std::vector<at::Tensor>> hidden_states;
  std::vector<std::vector<at::Tensor>> attentions;
  std::vector<std::vector<at::Tensor>> cross_attentions;
  // The encoder's.
  std::vector<at::Tensor> encoder_hidden_states;
  std::vector<at::Tensor> encoder_attentions;
};

}  // namespace pretrained

#endif  // PRETRAINED_GENERATION_GENERATE_OUTPUT_H_
