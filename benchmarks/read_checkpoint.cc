// Opens, reads or touches a whole checkpoint once, and says how long that took:
// one side of torch_checkpoints.py.
//
//   read_checkpoint list SRC    opens it and lists its tensors
//   read_checkpoint read SRC    and copies them all into private memory
//   read_checkpoint touch SRC   and views them all, adding up every byte
//
// One JSON document on stdout: {seconds, tensors, bytes, sum}. `sum` is that of
// all tensors' bytes taken as little-endian 64-bit words (a shorter last one is
// filled up with zeros), modulo 2^64; of `read` it is taken after the clock.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/open_checkpoint.h"
#include "checkpoint/read_all_tensors.h"

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

// The sum over all views, shared out among threads piece by piece.
uint64_t SumOfAll(const std::vector<TensorView>& views) {
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

absl::Status Run(const std::string& mode, const std::string& source) {
  const absl::Time start = absl::Now();
  absl::StatusOr<std::unique_ptr<Checkpoint>> checkpoint =
      OpenCheckpoint(source);
  if (!checkpoint.ok()) return checkpoint.status();
  std::vector<TensorView> views;
  uint64_t sum = 0;
  if (mode == "read") {
    absl::StatusOr<std::vector<TensorView>> read = ReadAllTensors(**checkpoint);
    if (!read.ok()) return read.status();
    views = *std::move(read);
  } else if (mode == "touch") {
    for (const TensorInfo& tensor : (*checkpoint)->tensors()) {
      absl::StatusOr<TensorView> view = (*checkpoint)->View(tensor);
      if (!view.ok()) return view.status();
      views.push_back(*std::move(view));
    }
    sum = SumOfAll(views);
  } else if (mode != "list") {
    return absl::InvalidArgumentError("the mode is list, read or touch");
  }
  const double seconds = absl::ToDoubleSeconds(absl::Now() - start);
  if (mode == "read") sum = SumOfAll(views);
  int64_t bytes = 0;
  for (const TensorInfo& tensor : (*checkpoint)->tensors()) {
    bytes += tensor.nbytes();
  }
  std::cout << "{\"seconds\": " << seconds
            << ", \"tensors\": " << (*checkpoint)->tensors().size()
            << ", \"bytes\": " << bytes << ", \"sum\": " << sum << "}\n";
  return absl::OkStatus();
}

}  // namespace
}  // namespace pretrained

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: read_checkpoint list|read|touch SRC\n";
    return 2;
  }
  const absl::Status status = pretrained::Run(argv[1], argv[2]);
  if (status.ok()) return 0;
  std::cerr << "read_checkpoint: " << status.message() << "\n";
  return 1;
}
