#ifndef PRETRAINED_CHECKPOINT_LOADING_TENSOR_MEMORY_H_
#define PRETRAINED_CHECKPOINT_LOADING_TENSOR_MEMORY_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"

namespace pretrained {

// Private memory that many tensors lie in, or a large one. Its pages are there
// once they are written, and go one by one: those that only a released part
// touches are given back with it, the rest with the last part.
class MemoryBlock : public std::enable_shared_from_this<MemoryBlock> {
 public:
  // Zeroes, page-aligned; what has room for one starts at a huge page, and asks
  // for such: they are made, and taken back, by a fraction of the faults.
  // kResourceExhausted if there is no room.
  static absl::StatusOr<std::shared_ptr<MemoryBlock>> Make(int64_t bytes);
  ~MemoryBlock();
  MemoryBlock(const MemoryBlock&) = delete;
  MemoryBlock& operator=(const MemoryBlock&) = delete;

  char* data() const { return data_; }
  int64_t size_bytes() const { return bytes_; }

  // Keeps the block alive, and gives the pages that lie wholly within [begin,
  // end) back when it goes. Parts must not overlap.
  std::shared_ptr<void> Part(int64_t begin, int64_t end);

 private:
  MemoryBlock(char* mapping, int64_t mapped_bytes, char* data, int64_t bytes)
      : mapping_(mapping),
        mapped_bytes_(mapped_bytes),
        data_(data),
        bytes_(bytes) {}

  char* const mapping_;  // With what precedes the first huge page.
  const int64_t mapped_bytes_;
  char* const data_;
  const int64_t bytes_;
};

// Memory for one tensor, aligned for any kernel: a block of its own where it is
// large. Null if there is none. Its pages are there once they are written.
std::shared_ptr<void> MakeTensorMemory(int64_t bytes);

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_LOADING_TENSOR_MEMORY_H_
