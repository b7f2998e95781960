#ifndef PRETRAINED_BENCHMARKS_TENSOR_SUM_H_
#define PRETRAINED_BENCHMARKS_TENSOR_SUM_H_

#include <cstdint>
#include <vector>

#include "checkpoint/checkpoint.h"

namespace pretrained {

// The sum of all tensors' bytes, each tensor taken as little-endian 64-bit
// words (a shorter last one is filled up with zeros), modulo 2^64: what shows
// that two programs read the same. Shared out among threads, piece by piece.
uint64_t SumOfTensors(const std::vector<TensorView>& views);

}  // namespace pretrained

#endif  // PRETRAINED_BENCHMARKS_TENSOR_SUM_H_
