#ifndef PRETRAINED_MODELING_ATTENTION_H_
#define PRETRAINED_MODELING_ATTENTION_H_

#include <cstdint>

#include "ATen/core/Tensor.h"

namespace pretrained {

// Scaled dot-product attention of several heads, as every family computes it.
// Shapes: batch b, heads h, queries q, keys k, head size d. Keys and values may
// have fewer heads, g, each of which serves h / g query heads in a row
// (grouped-query attention); they are not repeated. Tensors that are not given
// are undefined.
struct AttentionArguments {
  at::Tensor query;  // [b, h, q, d]
  at::Tensor key;    // [b, g, k, d]
  at::Tensor value;  // [b, g, k, d]
  // Added to the scaled scores: masks, position biases; broadcast to
  // [b, h, q, k].
  at::Tensor bias;
  // Query i sees keys 0 to i alone. There must be as many keys as queries, and
  // no bias.
  bool is_causal = false;
  at::Tensor head_mask;  // Times probabilities: [1 or b, h, 1, 1].
  double scale = 1.0;    // Times scores: 1/sqrt(d), or 1 for T5.
  // Of probabilities; 0 in eval mode.
  double dropout_probability = 0.0;
  // Softmax in float32, and back, for half dtypes.
  bool softmax_in_float32 = false;
  // Whether `probabilities` is wanted. Without them, a head mask and dropout,
  // one fused kernel does it all; results agree up to rounding.
  bool need_probabilities = true;
  // That kernel in any case, dropout included; c10::Error if probabilities are
  // wanted or there is a head mask. Of models that are converted
  // (better_transformer.h).
  bool always_fused = false;
};

struct AttentionResult {
  at::Tensor context;        // [b, h, q, d]
  at::Tensor probabilities;  // [b, h, q, k]; may be undefined if not wanted.
};

// softmax(scale query key^T + bias) value.
AttentionResult Attend(const AttentionArguments& arguments);

// [b, s, h d] as [b, h, s, d], for heads of size `head_size`, without a copy.
at::Tensor SplitHeads(const at::Tensor& x, int64_t head_size);

// [b, h, s, d] as [b, s, h d].
at::Tensor MergeHeads(const at::Tensor& x);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_ATTENTION_H_
