#include "modeling/offload/prefetch.h"

#include <cstddef>
#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"

namespace pretrained {

WeightPrefetcher::WeightPrefetcher(std::vector<int64_t> nbytes, Fetch fetch,
                                   LetGo let_go, int64_t prefetch_bytes)
    : fetch_(std::move(fetch)),
      let_go_(std::move(let_go)),
      prefetch_bytes_(prefetch_bytes),
      count_(nbytes.size()),
      weights_(nbytes.size()) {
  for (size_t i = 0; i < nbytes.size(); ++i) weights_[i].nbytes = nbytes[i];
}

WeightPrefetcher::~WeightPrefetcher() {
  std::thread thread;
  {
    absl::MutexLock lock(&mutex_);
    stops_ = true;
    changed_.SignalAll();
    thread = std::move(thread_);
  }
  if (thread.joinable()) thread.join();
  for (size_t i = 0; i < count_; ++i) {
    FetchedWeight gone;
    {
      absl::MutexLock lock(&mutex_);
      if (weights_[i].state != State::kHere) continue;
      gone = TakeOut(weights_[i]);
    }
    gone = {};
    let_go_(static_cast<int>(i));
  }
}

FetchedWeight WeightPrefetcher::TakeOut(Weight& weight) {
  if (weight.ahead) ahead_bytes_ -= weight.nbytes;
  weight.ahead = false;
  weight.state = State::kAbsent;
  return std::exchange(weight.fetched, {});
}

absl::StatusOr<std::vector<at::Tensor>> WeightPrefetcher::Acquire(
    absl::Span<const int> weights) {
  std::vector<at::Tensor> tensors;
  for (size_t i = 0; i < weights.size(); ++i) {
    absl::Status status = AcquireOne(weights[i]);
    if (!status.ok()) {
      Release(weights.first(i));
      return status;
    }
  }
  std::vector<std::function<void()>> waits;
  {
    absl::MutexLock lock(&mutex_);
    for (int index : weights) {
      const FetchedWeight& fetched = weights_[index].fetched;
      tensors.push_back(fetched.tensor);
      if (fetched.wait) waits.push_back(fetched.wait);
    }
  }
  for (const auto& wait : waits) wait();
  return tensors;
}

absl::Status WeightPrefetcher::AcquireOne(int index) {
  {
    absl::MutexLock lock(&mutex_);
    Weight& weight = weights_[index];
    while (weight.state == State::kFetching) changed_.Wait(&mutex_);
    weight.failed = false;
    if (weight.state == State::kHere) {
      ++weight.users;
      if (weight.ahead) {
        weight.ahead = false;
        ahead_bytes_ -= weight.nbytes;
        changed_.SignalAll();  // There is room for more.
      }
      return absl::OkStatus();
    }
    weight.state = State::kFetching;
  }
  absl::StatusOr<FetchedWeight> fetched = fetch_(index, /*ahead=*/false);
  absl::MutexLock lock(&mutex_);
  Weight& weight = weights_[index];
  changed_.SignalAll();
  if (!fetched.ok()) {
    weight.state = State::kAbsent;
    return fetched.status();
  }
  weight.state = State::kHere;
  weight.fetched = *std::move(fetched);
  ++weight.users;
  return absl::OkStatus();
}

void WeightPrefetcher::Release(absl::Span<const int> weights) {
  for (int index : weights) ReleaseOne(index);
}

void WeightPrefetcher::ReleaseOne(int index) {
  FetchedWeight gone;
  {
    absl::MutexLock lock(&mutex_);
    Weight& weight = weights_[index];
    if (--weight.users > 0) return;
    changed_.SignalAll();
    if (weight.planned && ahead_bytes_ + weight.nbytes <= prefetch_bytes_) {
      weight.ahead = true;
      ahead_bytes_ += weight.nbytes;
      return;
    }
    gone = TakeOut(weight);
  }
  gone = {};
  let_go_(index);
}

void WeightPrefetcher::Plan(absl::Span<const int> upcoming) {
  if (prefetch_bytes_ <= 0) return;
  absl::MutexLock lock(&mutex_);
  for (int index : plan_) weights_[index].planned = false;
  plan_.assign(upcoming.begin(), upcoming.end());
  for (int index : plan_) weights_[index].planned = true;
  if (!HasWork()) return;
  changed_.SignalAll();
  if (!thread_.joinable()) thread_ = std::thread([this] { Run(); });
}

bool WeightPrefetcher::HasWork() const {
  for (int index : plan_) {
    const Weight& weight = weights_[index];
    if (weight.state == State::kAbsent && !weight.failed &&
        weight.nbytes <= prefetch_bytes_) {
      return true;
    }
  }
  return false;
}

int WeightPrefetcher::NextAhead(std::vector<int>& stale) {
  for (int index : plan_) {
    const Weight& wanted = weights_[index];
    if (wanted.state != State::kAbsent || wanted.failed ||
        wanted.nbytes > prefetch_bytes_) {
      continue;
    }
    int64_t bytes = ahead_bytes_ + wanted.nbytes;
    for (size_t i = 0; i < weights_.size() && bytes > prefetch_bytes_; ++i) {
      const Weight& other = weights_[i];
      if (!other.ahead || other.planned || other.state != State::kHere) {
        continue;
      }
      bytes -= other.nbytes;
      stale.push_back(static_cast<int>(i));
    }
    if (bytes <= prefetch_bytes_) return index;
    stale.clear();
    return -1;  // The soonest comes first: nothing later takes its room.
  }
  return -1;
}

void WeightPrefetcher::Run() {
  std::vector<int> stale;
  mutex_.Lock();
  while (!stops_) {
    stale.clear();
    const int index = NextAhead(stale);
    if (index < 0) {
      busy_ = false;
      changed_.SignalAll();
      changed_.Wait(&mutex_);
      continue;
    }
    busy_ = true;
    std::vector<FetchedWeight> gone;
    for (int other : stale) gone.push_back(TakeOut(weights_[other]));
    Weight& weight = weights_[index];
    weight.state = State::kFetching;
    weight.ahead = true;
    ahead_bytes_ += weight.nbytes;
    mutex_.Unlock();
    gone.clear();
    for (int other : stale) let_go_(other);
    absl::StatusOr<FetchedWeight> fetched = fetch_(index, /*ahead=*/true);
    mutex_.Lock();
    if (fetched.ok()) {
      weights_[index].state = State::kHere;
      weights_[index].fetched = *std::move(fetched);
    } else {
      TakeOut(weights_[index]);
      weights_[index].failed = true;
    }
    changed_.SignalAll();
  }
  busy_ = false;
  changed_.SignalAll();
  mutex_.Unlock();
}

void WeightPrefetcher::WaitUntilIdle() {
  absl::MutexLock lock(&mutex_);
  std::vector<int> stale;
  while (busy_ || (thread_.joinable() && NextAhead(stale) >= 0)) {
    changed_.Wait(&mutex_);
  }
}

ExecutionOrder::ExecutionOrder(int count) : next_(count) {
  for (int i = 0; i < count; ++i) next_[i] = (i + 1) % count;
}

void ExecutionOrder::Learn(int previous, int next) {
  absl::MutexLock lock(&mutex_);
  next_[previous] = next;
}

std::vector<int> ExecutionOrder::Upcoming(int unit, int most) const {
  absl::MutexLock lock(&mutex_);
  std::vector<int> upcoming;
  // Learnt links may lead into a circle that does not pass `unit`.
  std::vector<bool> seen(next_.size());
  seen[unit] = true;
  for (int next = next_[unit];
       !seen[next] && static_cast<int>(upcoming.size()) < most;
       next = next_[next]) {
    seen[next] = true;
    upcoming.push_back(next);
  }
  return upcoming;
}

}  // namespace pretrained
