#ifndef PRETRAINED_MODELING_CHUNKS_H_
#define PRETRAINED_MODELING_CHUNKS_H_

#include <cstdint>
#include <vector>

#include "ATen/core/Tensor.h"
#include "ATen/ops/cat.h"
#include "absl/functional/function_ref.h"

namespace pretrained {

// run(x) for x [batch, tokens, ..], in chunks of `chunk_size` tokens to bound
// what it holds at a time; 0 is for all at once.
// Matches: transformers 4.34 pytorch_utils.py `apply_chunking_to_forward`.
// Differs: the last chunk may be shorter; 4.34 raises.
inline at::Tensor RunInChunks(
    const at::Tensor& x, int64_t chunk_size,
    absl::FunctionRef<at::Tensor(const at::Tensor& chunk)> run) {
  if (chunk_size == 0) return run(x);
  std::vector<at::Tensor> results;
  for (const at::Tensor& chunk : x.split(chunk_size, 1)) {
    results.push_back(run(chunk));
  }
  return at::cat(results, 1);
}

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_CHUNKS_H_
