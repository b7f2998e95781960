#ifndef PRETRAINED_MODELING_ATTENTION_MASK_H_
#define PRETRAINED_MODELING_ATTENTION_MASK_H_

#include <cstdint>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "c10/core/ScalarType.h"

namespace pretrained {

// Masks as attention scores want them. In all of these 1 in an input mask means
// "attend" and 0 "do not"; fractions lie between. `dtype` is the floating dtype
// of the model; results are on the mask's device.

// The lowest finite value of a dtype that scores have: float32, float16,
// bfloat16 or float64. kInvalidArgument, naming it, for any other.
absl::StatusOr<double> LowestOf(at::ScalarType dtype);

struct AttentionMaskOptions {
  at::ScalarType dtype = at::kFloat;
  bool is_decoder = false;
  // Of the tokens that attend; a decoder's mask may be longer by what is
  // cached.
  int64_t query_length = 0;
};

// What is added to attention scores: 0 where to attend, the dtype's lowest
// value where not.
//
//   attention_mask  [batch, keys] for padding, to which a decoder's causal mask
//                   is added; or [batch, queries, keys] as it is
//   returns         [batch, 1, 1, keys], [batch, 1, queries, keys] for a
//                   decoder or a mask of rank 3
//
// kInvalidArgument, with the shape that came in, for any other rank, or where a
// decoder's mask is shorter than its queries; so, too, for a dtype that scores
// do not have and a mask that is not defined, here and below.
// Cost: one pass over the result.
// Matches: transformers 4.34 modeling_utils.py `get_extended_attention_mask`.
// Differs: a later key is hidden also where the mask holds infinity or NaN.
absl::StatusOr<at::Tensor> ExtendedAttentionMask(
    const at::Tensor& attention_mask, const AttentionMaskOptions& options);

// A decoder's padding mask and its causal mask as one, still of ones and zeros.
//
//   attention_mask  [batch, keys], keys >= query_length: the further ones are
//                   cached tokens, which every query sees
//   returns         [batch, 1, query_length, keys], dtype of attention_mask
//
// Matches: transformers 4.34 modeling_utils.py
//     `create_extended_attention_mask_for_decoder`.
absl::StatusOr<at::Tensor> CausalAttentionMask(const at::Tensor& attention_mask,
                                               int64_t query_length);

// The mask for cross-attention, likewise to be added to scores.
//
//   encoder_attention_mask  [batch, keys], or [batch, queries, keys]
//   returns                 [batch, 1, 1, keys], or [batch, 1, queries, keys]
//
// Matches: transformers 4.34 modeling_utils.py `invert_attention_mask`.
absl::StatusOr<at::Tensor> InvertAttentionMask(
    const at::Tensor& encoder_attention_mask, at::ScalarType dtype);

// Makes `head_mask` broadcast over the attention probabilities of every layer.
//
//   head_mask  [num_heads] or [num_layers, num_heads]; 1 keeps, 0 drops a head;
//              a mask of rank 5 keeps its shape; undefined for none
//   is_attention_chunked  adds a last dimension, for scores in chunks
//   num_heads  of each layer, where all have as many; -1 where heads may be
//              pruned: then whoever multiplies finds out
//   returns    one entry a layer, [1 or batch, num_heads, 1, 1] each (or what
//              rank 5 holds); undefined tensors where there is no mask
//
// kInvalidArgument, with the shape that came in, for any other rank or number
// of layers or heads (one entry is for all heads).
// Matches: transformers 4.34 modeling_utils.py `get_head_mask`.
absl::StatusOr<std::vector<at::Tensor>> ExpandHeadMask(
    const at::Tensor& head_mask, int64_t num_layers, at::ScalarType dtype,
    bool is_attention_chunked = false, int64_t num_heads = -1);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_ATTENTION_MASK_H_
