#ifndef PRETRAINED_CHECKPOINT_LOADING_SLOW_STORAGE_H_
#define PRETRAINED_CHECKPOINT_LOADING_SLOW_STORAGE_H_

#include <cstdint>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "checkpoint/loading/file_source.h"

namespace pretrained {

// Makes files as slow as those of a network or a bucket: for tests, and for
// measuring what a loader makes of such storage without having any.
//
//   SlowStorage storage({.latency = absl::Milliseconds(2)});
//   LoadTensors(checkpoint, requests,
//               {.wrap_source = [&](std::unique_ptr<FileSource> source) {
//                  return storage.Wrap(std::move(source));
//                }});
//
// Threads: any number; those that read share the bandwidth.
// Lifetime: the storage outlives what Wrap() returns.
class SlowStorage {
 public:
  struct Options {
    absl::Duration latency;       // Of each request, before its bytes come.
    double bytes_per_second = 0;  // Of all requests together; 0: no limit.
    // A request that asks for more is answered with so much.
    int64_t max_request_bytes = int64_t{1} << 20;
  };

  explicit SlowStorage(const Options& options) : options_(options) {}

  // The same file, slow.
  std::unique_ptr<FileSource> Wrap(std::unique_ptr<FileSource> source);

  // So far.
  int64_t requests() const ABSL_LOCKS_EXCLUDED(mutex_);
  // The most requests that were waiting at a time.
  int most_in_flight() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  class SlowSource;

  // Lets as much time go by as a request that brings `bytes` takes.
  void Wait(int64_t bytes) ABSL_LOCKS_EXCLUDED(mutex_);

  const Options options_;
  mutable absl::Mutex mutex_;
  absl::Time line_is_free_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  int64_t requests_ ABSL_GUARDED_BY(mutex_) = 0;
  int in_flight_ ABSL_GUARDED_BY(mutex_) = 0;
  int most_in_flight_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_LOADING_SLOW_STORAGE_H_
