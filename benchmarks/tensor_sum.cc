#include "benchmarks/tensor_sum.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

#include "checkpoint/checkpoint.h"

namespace pretrained {
namespace {

constexpr int64_t kPieceBytes = int64_t{8} << 20;  // A multiple of 32.

uint64_t WordAt(const char* p) {
  uint64_t word;
  std::memcpy(&word, p, sizeof(word));
  return word;
}

uint64_t SumOf(const char* data, int64_t bytes) {
  // Four sums, so that an addition need not wait for the one before.
  uint64_t a = 0, b = 0, c = 0, d = 0;
  const char* p = data;
  const char* const end = data + bytes;
  for (; end - p >= 32; p += 32) {
    a += WordAt(p);
    b += WordAt(p + 8);
    c += WordAt(p + 16);
    d += WordAt(p + 24);
  }
  uint64_t sum = a + b + c + d;
  for (; p < end; p += 8) {
    uint64_t word = 0;
    std::memcpy(&word, p, std::min<int64_t>(8, end - p));
    sum += word;
  }
  return sum;
}

}  // namespace

uint64_t SumOfTensors(const std::vector<TensorView>& views) {
  std::vector<std::pair<const char*, int64_t>> pieces;
  for (const TensorView& view : views) {
    const char* const data = static_cast<const char*>(view.data);
    for (int64_t at = 0; at < view.nbytes; at += kPieceBytes) {
      pieces.emplace_back(data + at, std::min(kPieceBytes, view.nbytes - at));
    }
  }
  std::atomic<size_t> next = 0;
  std::atomic<uint64_t> sum = 0;
  const auto work = [&] {
    uint64_t part = 0;
    for (size_t i; (i = next++) < pieces.size();) {
      part += SumOf(pieces[i].first, pieces[i].second);
    }
    sum += part;
  };
  std::vector<std::thread> threads;
  const size_t helpers =
      std::clamp<size_t>(std::thread::hardware_concurrency(), 1, 8) - 1;
  for (size_t t = 0; t < helpers; ++t) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  return sum;
}

}  // namespace pretrained
