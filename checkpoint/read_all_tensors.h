#ifndef PRETRAINED_CHECKPOINT_READ_ALL_TENSORS_H_
#define PRETRAINED_CHECKPOINT_READ_ALL_TENSORS_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "checkpoint/checkpoint.h"

namespace pretrained {

struct ReadAllTensorsOptions {
  int num_threads = 0;  // 0: one for each CPU, at most 8.
  // Called from the calling thread alone; may be empty.
  std::function<void(int64_t done_bytes, int64_t total_bytes)> progress = {};
};

// Copies every tensor of `checkpoint` into private memory, so that nothing
// depends on its files any more.
//
//   auto views = ReadAllTensors(**checkpoint);
//   (*views)[i].data;   // of (*checkpoint)->tensors()[i]
//
// The memory is one block, which lives as long as any of the views; each tensor
// starts at a multiple of 64 bytes.
// Tensors that are the same view of one storage share their bytes.
//   kResourceExhausted  there is not as much memory
//   and whatever Checkpoint::Read() returns; the first error ends all threads
// Cost: the bytes are read once, in pieces of 1 MiB, in file order.
absl::StatusOr<std::vector<TensorView>> ReadAllTensors(
    const Checkpoint& checkpoint, const ReadAllTensorsOptions& options = {});

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_READ_ALL_TENSORS_H_
