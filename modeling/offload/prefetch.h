#ifndef PRETRAINED_MODELING_OFFLOAD_PREFETCH_H_
#define PRETRAINED_MODELING_OFFLOAD_PREFETCH_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"

namespace pretrained {

// A weight that was brought in.
struct FetchedWeight {
  at::Tensor tensor;
  // Makes what the calling thread computes next wait for the values, where a
  // copy to another device may still be on its way; null where none is.
  std::function<void()> wait = nullptr;
};

// Brings weights in before they are asked for, on a thread of its own, and lets
// them go after.
//
//   WeightPrefetcher weights(sizes, fetch, release, /*prefetch_bytes=*/1 <<
//   28); weights.Plan({3, 4, 5});  // What comes next, in order. auto tensors =
//   weights.Acquire({3});  // Waits for it, or fetches it.
//   ..
//   weights.Release({3});
//
// Weights are known by their number. One that is in use by several at once is
// fetched once. What is here, or on its way, ahead of its use never takes more
// than `prefetch_bytes`; a weight larger than that is fetched when asked for.
// What fails ahead of its use is tried again when asked for, so that errors go
// to who asked, and nothing stays broken.
// Threads: any number may call. The thread starts with the first Plan() that
//     has something for it, never where `prefetch_bytes` is 0; the destructor
//     waits for the fetch that it is at. Nothing may be in use then.
class WeightPrefetcher {
 public:
  // Called without a lock, in several threads at once; `ahead` on the thread of
  // the prefetcher.
  using Fetch =
      std::function<absl::StatusOr<FetchedWeight>(int weight, bool ahead)>;
  using LetGo = std::function<void(int weight)>;

  // `nbytes` of each weight. `let_go` is told after a weight's tensor is gone.
  WeightPrefetcher(std::vector<int64_t> nbytes, Fetch fetch, LetGo let_go,
                   int64_t prefetch_bytes);
  ~WeightPrefetcher();
  WeightPrefetcher(const WeightPrefetcher&) = delete;
  WeightPrefetcher& operator=(const WeightPrefetcher&) = delete;

  // The weights, which are then in use until Release(). Where there is an error
  // none is.
  absl::StatusOr<std::vector<at::Tensor>> Acquire(
      absl::Span<const int> weights);
  // One that is in the plan stays, if there is room.
  void Release(absl::Span<const int> weights);

  // What is likely to be asked for next, the soonest first, in the place of
  // what was planned.
  void Plan(absl::Span<const int> upcoming);

  // Whether nothing is left to fetch ahead. For tests.
  void WaitUntilIdle();

 private:
  enum class State { kAbsent, kFetching, kHere };
  struct Weight {
    int64_t nbytes = 0;
    State state = State::kAbsent;
    bool ahead = false;  // Counts in ahead_bytes_: here, or coming, unused.
    bool planned = false;
    bool failed = false;  // Ahead of its use; not tried again until used.
    int users = 0;
    FetchedWeight fetched;
  };

  absl::Status AcquireOne(int weight) ABSL_LOCKS_EXCLUDED(mutex_);
  void ReleaseOne(int weight) ABSL_LOCKS_EXCLUDED(mutex_);
  void Run() ABSL_LOCKS_EXCLUDED(mutex_);
  // The planned weight to fetch now; -1 for none. Lists in `stale` what goes to
  // make room for it.
  int NextAhead(std::vector<int>& stale) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // No longer here; its tensor, to be destroyed without the lock.
  FetchedWeight TakeOut(Weight& weight) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Fetch fetch_;
  const LetGo let_go_;
  const int64_t prefetch_bytes_;
  const size_t count_;

  mutable absl::Mutex mutex_;
  std::vector<Weight> weights_ ABSL_GUARDED_BY(mutex_);
  std::vector<int> plan_ ABSL_GUARDED_BY(mutex_);
  int64_t ahead_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool busy_ ABSL_GUARDED_BY(mutex_) = false;
  bool stops_ ABSL_GUARDED_BY(mutex_) = false;
  absl::CondVar changed_;  // A weight's state, the plan, or stops_.
  std::thread thread_ ABSL_GUARDED_BY(mutex_);
};

// The order in which modules run, learnt from how they ran: who came after whom
// the last time. Before that, by number, the first after the last.
// Threads: Learn() and Upcoming() of several threads are safe.
class ExecutionOrder {
 public:
  explicit ExecutionOrder(int count);

  // `next` ran after `previous`.
  void Learn(int previous, int next);
  // Those expected after `unit`, at most `most` and none twice, the soonest
  // first.
  std::vector<int> Upcoming(int unit, int most) const;

 private:
  mutable absl::Mutex mutex_;
  std::vector<int> next_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_OFFLOAD_PREFETCH_H_
