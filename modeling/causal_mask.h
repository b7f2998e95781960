#ifndef PRETRAINED_MODELING_CAUSAL_MASK_H_
#define PRETRAINED_MODELING_CAUSAL_MASK_H_

#include <cstdint>
#include <optional>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "c10/core/Device.h"
#include "c10/core/ScalarType.h"

namespace pretrained {

struct CausalBiasOptions {
  int64_t query_length = 0;
  int64_t past_length = 0;  // Cached tokens, which every query sees.
  // Of the new keys a query sees its own and as many before it; without one,
  // all before it. A window hides keys by -infinity, not by the lowest value.
  std::optional<int64_t> window;
  // Of the scores: the lowest value is this dtype's. Give float32 for a half
  // model whose scores are added up in float32, as the fused kernel does.
  at::ScalarType dtype = at::kFloat;
  at::Device device = at::kCPU;
};

// What a decoder without an encoder adds to its attention scores, as one
// tensor: the causal bias, 0 for keys up to the query's own and the dtype's
// lowest value for later ones, plus the padding bias, (1 - attention_mask)
// times the lowest value.
//
//   attention_mask  [batch, past_length + query_length]; 1 attends, 0 does not,
//                   fractions lie between; undefined for no padding
//   returns         [batch or 1, 1, query_length, past_length + query_length];
//                   undefined where it would be 0 everywhere: one query and no
//                   attention_mask
//
// A key that is both later and padding gets the sum, -infinity. A query that
// sees padding alone (the first tokens of a row that is padded on the left) so
// gives equal weight to the padding before it and to the tokens after it: that
// is what the peers compute there, and no row is all -infinity.
//
// With a window, a key that is not seen gets -infinity, so that such a query
// gives equal weight to the padding that it sees and nothing to other tokens.
// Cached keys are no matter of the window: the peer sees them all.
//
// For a peer whose padding is all or nothing (LLaMA, Mistral), give
// attention_mask.eq(1).
//
// kInvalidArgument, with the shape that came in, for another number of keys;
// and for a dtype that scores do not have.
// Matches: transformers 4.34 `LlamaModel._prepare_decoder_attention_mask`, with
//     a window `MistralModel`'s; and GPT-2 and GPT-NeoX, which replace scores
//     of later keys where this adds to them: the same, for no score is large
//     enough to change the lowest value.
// Differs: an attention_mask above 1 gives later keys a finite score there.
absl::StatusOr<at::Tensor> CausalBias(const at::Tensor& attention_mask,
                                      const CausalBiasOptions& options);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_CAUSAL_MASK_H_
