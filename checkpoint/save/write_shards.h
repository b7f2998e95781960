#ifndef PRETRAINED_CHECKPOINT_SAVE_WRITE_SHARDS_H_
#define PRETRAINED_CHECKPOINT_SAVE_WRITE_SHARDS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "checkpoint/tensor_to_write.h"

namespace pretrained {
namespace checkpoint_internal {

// Stands between tensors and their writers: reports progress, and ends all of
// them once one has failed.
// Threads: any number; `report` is called by one at a time.
class SaveMonitor : public std::enable_shared_from_this<SaveMonitor> {
 public:
  // `report` may be empty.
  SaveMonitor(
      int64_t total_bytes,
      std::function<void(int64_t done_bytes, int64_t total_bytes)> report)
      : total_bytes_(total_bytes), report_(std::move(report)) {}

  // Has the bytes of `tensors` come in pieces of some MiB, after each of which
  // it is told. Aliases stay as they are.
  void Watch(std::vector<TensorToWrite>& tensors);

  // From now on no watched tensor gives any more bytes.
  void Stop() { stopped_ = true; }
  bool stopped() const { return stopped_; }

 private:
  absl::Status Hand(absl::string_view bytes, TensorSink sink);

  const int64_t total_bytes_;
  const std::function<void(int64_t, int64_t)> report_;
  std::atomic<bool> stopped_ = false;
  absl::Mutex mutex_;
  int64_t done_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

// How many files are written at a time: `wanted`, or where that is 0 as many as
// suit. That is one where little is written, and where bytes are produced:
// whoever produces them has not said that he can be asked by several.
int WritersFor(int wanted, int64_t total_bytes,
               absl::Span<const TensorToWrite> tensors);

// Calls `write` for each of `count` shards, in `writers` threads, of which the
// caller's is one. The first error ends all, and is returned.
absl::Status WriteShards(size_t count, int writers, SaveMonitor& monitor,
                         absl::FunctionRef<absl::Status(size_t shard)> write);

}  // namespace checkpoint_internal
}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_SAVE_WRITE_SHARDS_H_
