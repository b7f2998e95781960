#ifndef PRETRAINED_CHECKPOINT_PICKLE_PICKLE_ARENA_H_
#define PRETRAINED_CHECKPOINT_PICKLE_PICKLE_ARENA_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

namespace pretrained {
namespace checkpoint_internal {

// Memory that is given back all at once. Chunks double, so that a small pickle
// costs little and a large one few calls; they never move.
// Threads: one at a time.
class PickleArena {
 public:
  PickleArena() = default;
  PickleArena(PickleArena&& other) noexcept { *this = std::move(other); }
  PickleArena& operator=(PickleArena&& other) noexcept {
    chunks_ = std::move(other.chunks_);
    next_ = std::exchange(other.next_, nullptr);
    left_ = std::exchange(other.left_, 0);
    chunk_bytes_ = std::exchange(other.chunk_bytes_, kFirstChunkBytes);
    allocated_bytes_ = std::exchange(other.allocated_bytes_, 0);
    return *this;
  }

  // `count` objects, not initialized; at least one.
  template <typename T>
  T* Allocate(size_t count) {
    static_assert(std::is_trivially_destructible_v<T>);
    static_assert(alignof(T) <= kAlignment);
    return reinterpret_cast<T*>(AllocateBytes(count * sizeof(T)));
  }

  template <typename T>
  T* New(const T& value) {
    return new (Allocate<T>(1)) T(value);
  }

  int64_t allocated_bytes() const { return allocated_bytes_; }

 private:
  static constexpr size_t kAlignment = 8;
  static constexpr size_t kFirstChunkBytes = 1 << 10;
  static constexpr size_t kLastChunkBytes = 1 << 20;

  char* AllocateBytes(size_t bytes) {
    bytes = (bytes + kAlignment - 1) & ~(kAlignment - 1);
    if (bytes > left_) AddChunk(bytes);
    char* const p = next_;
    next_ += bytes;
    left_ -= bytes;
    return p;
  }

  void AddChunk(size_t at_least) {
    const size_t bytes = std::max(at_least, chunk_bytes_);
    chunks_.push_back(std::unique_ptr<char[]>(new char[bytes]));
    next_ = chunks_.back().get();
    left_ = bytes;
    allocated_bytes_ += static_cast<int64_t>(bytes);
    chunk_bytes_ = std::min(chunk_bytes_ * 2, kLastChunkBytes);
  }

  std::vector<std::unique_ptr<char[]>> chunks_;
  char* next_ = nullptr;
  size_t left_ = 0;
  size_t chunk_bytes_ = kFirstChunkBytes;
  int64_t allocated_bytes_ = 0;
};

}  // namespace checkpoint_internal
}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_PICKLE_PICKLE_ARENA_H_
