#ifndef PRETRAINED_CHECKPOINT_LOADING_TENSOR_MEMORY_H_
#define PRETRAINED_CHECKPOINT_LOADING_TENSOR_MEMORY_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"

namespace pretrained {

// Private memory that many tensors lie in. Its pages are there once they are
// written, and go one by one: those that only a released part touches are given
// back with it, the rest with the last part.
class MemoryBlock : public std::enable_shared_from_this<MemoryBlock> {
 public:
  // Zeroes, page-aligned. kResourceExhausted if there is no room.
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
  MemoryBlock(char* data, int64_t bytes) : data_(data), bytes_(bytes) {}

  char* const data_;
  const int64_t bytes_;
};

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_LOADING_TENSOR_MEMORY_H_
