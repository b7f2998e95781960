#include "checkpoint/save/write_shards.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "checkpoint/tensor_to_write.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

// The bytes between two reports of progress, at least.
constexpr size_t kPieceBytes = size_t{4} << 20;

// Below, threads cost more than they bring.
constexpr int64_t kSmallBytes = int64_t{64} << 20;

// Files at a time: while one waits for the disk, others fill the cache.
constexpr int kMaxWriters = 4;

}  // namespace

void SaveMonitor::Watch(std::vector<TensorToWrite>& tensors) {
  for (TensorToWrite& tensor : tensors) {
    if (tensor.alias_of >= 0) continue;
    tensor.produce = [source = tensor,
                      self = shared_from_this()](TensorSink sink) {
      return ProduceBytes(source, [&](absl::string_view bytes) {
        return self->Hand(bytes, sink);
      });
    };
    tensor.data = nullptr;
  }
}

absl::Status SaveMonitor::Hand(absl::string_view bytes, TensorSink sink) {
  do {
    if (stopped_) return absl::CancelledError("another shard failed");
    const absl::string_view piece = bytes.substr(0, kPieceBytes);
    bytes.remove_prefix(piece.size());
    if (absl::Status s = sink(piece); !s.ok()) return s;
    if (!report_) continue;
    absl::MutexLock lock(&mutex_);
    done_bytes_ += static_cast<int64_t>(piece.size());
    report_(done_bytes_, total_bytes_);
  } while (!bytes.empty());
  return absl::OkStatus();
}

int WritersFor(int wanted, int64_t total_bytes,
               absl::Span<const TensorToWrite> tensors) {
  if (wanted > 0) return wanted;
  const bool in_memory =
      std::all_of(tensors.begin(), tensors.end(), [](const TensorToWrite& t) {
        return t.data != nullptr || t.produce == nullptr;
      });
  if (!in_memory || total_bytes < kSmallBytes) return 1;
  const int cpus = static_cast<int>(std::thread::hardware_concurrency());
  return std::clamp(cpus, 2, kMaxWriters);
}

absl::Status WriteShards(size_t count, int writers, SaveMonitor& monitor,
                         absl::FunctionRef<absl::Status(size_t shard)> write) {
  std::atomic<size_t> next = 0;
  absl::Mutex mutex;
  absl::Status result;
  const auto work = [&] {
    for (size_t i = next++; i < count && !monitor.stopped(); i = next++) {
      absl::Status status = write(i);
      if (status.ok()) continue;
      absl::MutexLock lock(&mutex);
      // Those that are stopped for this one come later.
      if (!monitor.stopped()) result = status;
      monitor.Stop();
    }
  };
  std::vector<std::thread> others;
  const size_t threads = std::min<size_t>(std::max(writers, 1), count);
  for (size_t i = 1; i < threads; ++i) others.emplace_back(work);
  work();
  for (std::thread& thread : others) thread.join();
  return result;
}

}  // namespace checkpoint_internal
}  // namespace pretrained
