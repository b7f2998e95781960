#ifndef PRETRAINED_MODELING_RELATIVE_POSITION_BIAS_H_
#define PRETRAINED_MODELING_RELATIVE_POSITION_BIAS_H_

#include <cstdint>

#include "ATen/core/Tensor.h"
#include "c10/core/Device.h"

namespace pretrained {

// A learned bias of attention scores that depends on nothing but how far a key
// lies from its query, by buckets: each near distance has one of its own, far
// ones share theirs, more and more of them. In three steps, so that a module
// can look its table up in between:
//
//   const at::Tensor positions = RelativePositions(queries, keys, device);
//   const at::Tensor buckets = RelativePositionBuckets(positions, {});
//   at::Tensor bias = SpreadRelativeBias(embedding(buckets), queries);
//
// Cost: the table is looked up once a distance, not once a pair of tokens.
// Threads: pure.

struct RelativePositionOptions {
  // Whether keys after the query have buckets, half of them, of their own; if
  // not they share that of distance 0: a causal mask hides them.
  bool bidirectional = true;
  int64_t num_buckets = 32;
  int64_t max_distance = 128;  // From here on all share the last bucket.
};

// Every relative position (the key's minus the query's) between the last
// `queries` of `keys` tokens and all of them, ascending.
//
//   returns  [keys + queries - 1] of int64: 1 - keys, .., queries - 1
at::Tensor RelativePositions(int64_t queries, int64_t keys, at::Device device);

// The bucket of each relative position.
//
//   relative_positions  of int64, any shape
//   returns             of int64, the same shape, 0 to num_buckets - 1
//
// Needs 4 buckets at least (2 when not bidirectional), and a `max_distance`
// above half of the buckets of a direction.
// Matches: transformers 4.34 modeling_t5.py `_relative_position_bucket`, bit by
//     bit.
at::Tensor RelativePositionBuckets(const at::Tensor& relative_positions,
                                   const RelativePositionOptions& options);

// Puts each distance's values where its pairs of tokens are.
//
//   values   [keys + queries - 1, heads], in the order of RelativePositions()
//   returns  [1, heads, queries, keys]
at::Tensor SpreadRelativeBias(const at::Tensor& values, int64_t queries);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_RELATIVE_POSITION_BIAS_H_
