#ifndef PRETRAINED_CHECKPOINT_CHECKPOINT_DIFF_H_
#define PRETRAINED_CHECKPOINT_CHECKPOINT_DIFF_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "checkpoint/checkpoint.h"

namespace pretrained {

struct DiffOptions {
  // Values are close where |a - b| <= atol + rtol * |b|. Both 0: their bits
  // must be equal, so that 0.0 and -0.0 differ, and a NaN equals only itself.
  double rtol = 0;
  double atol = 0;

  // Whether tensors of different dtypes differ even where their values do not.
  bool check_dtype = true;

  // Told, now and then, how many bytes of `a`'s tensors are compared, of how
  // many.
  std::function<void(int64_t done_bytes, int64_t total_bytes)> progress = {};
};

// A tensor that both checkpoints have, and that is not the same.
struct TensorDifference {
  std::string name;
  // "dtype float16, but float32; 2 of 12 values differ, the first at [0,3]:
  // 1.5, but 1.25".
  std::string why;
  int64_t different_values = 0;
  // The largest |a - b|, infinite where one of two values is a NaN; 0 for bits
  // that differ in numbers that do not. None where the shapes differ.
  std::optional<double> max_abs;
};

struct CheckpointDiff {
  std::vector<std::string> only_in_a;       // In the order of a.tensors().
  std::vector<std::string> only_in_b;       // In the order of b.tensors().
  std::vector<TensorDifference> different;  // In the order of a.tensors().
  int64_t same_tensors = 0;

  bool is_same() const {
    return only_in_a.empty() && only_in_b.empty() && different.empty();
  }
};

// Compares two checkpoints of any formats, tensor by tensor.
//
//   auto diff = DiffCheckpoints(**bin, **safetensors);
//   for (const TensorDifference& difference : diff->different) {
//     std::cout << difference.name << ": " << difference.why << "\n";
//   }
//
// Tensors of different dtypes are compared as the numbers they are: integers
// exactly, whatever else in float64. An error in reading either ends it.
// Cost: reads every tensor that both have, once, in pieces of up to 4 MiB; one
//     that is not in place is made whole, so that of each checkpoint no more
//     than one tensor is in memory.
// Threads: reads in the caller's.
// Matches: with tolerances, numpy.isclose(a, b, equal_nan=True) in float64
//     (complex: by absolute values; there an infinite part of a complex
//     number becomes a NaN on the way, here it stays).
absl::StatusOr<CheckpointDiff> DiffCheckpoints(const Checkpoint& a,
                                               const Checkpoint& b,
                                               const DiffOptions& options = {});

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_CHECKPOINT_DIFF_H_
