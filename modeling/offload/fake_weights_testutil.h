#ifndef PRETRAINED_MODELING_OFFLOAD_FAKE_WEIGHTS_TESTUTIL_H_
#define PRETRAINED_MODELING_OFFLOAD_FAKE_WEIGHTS_TESTUTIL_H_

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "modeling/offload/offloaded_weights.h"
#include "modeling/state_dict.h"

namespace pretrained {

// Offloaded weights that are copies of tensors, and know what was asked of
// them: each Get() hands out memory of its own, counted until it is gone.
class FakeWeights : public OffloadedWeights {
 public:
  struct Event {
    std::string what;  // "get", "got" (as it ends), "release".
    std::string name;
    std::thread::id thread;
  };
  struct Counts {
    int64_t live_bytes = 0;
    int64_t peak_bytes = 0;
  };

  explicit FakeWeights(const StateDict& tensors) {
    for (const auto& [name, tensor] : tensors) {
      weights_.push_back({.name = name,
                          .dtype = tensor.scalar_type(),
                          .shape = tensor.sizes().vec(),
                          .nbytes = static_cast<int64_t>(tensor.nbytes())});
      values_[name] = tensor.detach().clone();
    }
  }

  absl::Span<const Weight> weights() const override { return weights_; }
  const Weight* Find(absl::string_view name) const override {
    for (const Weight& weight : weights_) {
      if (weight.name == name) return &weight;
    }
    return nullptr;
  }

  absl::StatusOr<at::Tensor> Get(absl::string_view name) const override {
    Note("get", name);
    absl::SleepFor(delay);
    absl::Status status = error(name);
    if (!status.ok()) return status;
    auto found = values_.find(name);
    if (found == values_.end()) return absl::NotFoundError(name);
    const at::Tensor& values = found->second;
    const int64_t nbytes = values.nbytes();
    auto counts = counts_;
    {
      absl::MutexLock lock(&counts->mutex);
      counts->counts.live_bytes += nbytes;
      counts->counts.peak_bytes =
          std::max(counts->counts.peak_bytes, counts->counts.live_bytes);
    }
    void* copy = std::aligned_alloc(64, (nbytes + 64) / 64 * 64);
    std::memcpy(copy, values.contiguous().const_data_ptr(), nbytes);
    Note("got", name);
    return at::from_blob(
        copy, values.sizes(),
        [counts, nbytes](void* memory) {
          std::free(memory);
          absl::MutexLock lock(&counts->mutex);
          counts->counts.live_bytes -= nbytes;
        },
        values.options());
  }

  void Prefetch(absl::string_view name) const override {}
  void Release(absl::string_view name) const override { Note("release", name); }

  void Fail(const std::string& name, absl::Status status) {
    absl::MutexLock lock(&mutex_);
    errors_[name] = std::move(status);
  }
  void Mend() {
    absl::MutexLock lock(&mutex_);
    errors_.clear();
  }

  std::vector<Event> events() const {
    absl::MutexLock lock(&mutex_);
    return events_;
  }
  void ClearEvents() {
    absl::MutexLock lock(&mutex_);
    events_.clear();
  }
  int CountOf(absl::string_view what, absl::string_view name = "") const {
    int count = 0;
    for (const Event& event : events()) {
      count += event.what == what && (name.empty() || event.name == name);
    }
    return count;
  }
  Counts counts() const {
    absl::MutexLock lock(&counts_->mutex);
    return counts_->counts;
  }

  absl::Duration delay = absl::ZeroDuration();  // Of each Get().

 private:
  // Outlives this: tensors may.
  struct SharedCounts {
    absl::Mutex mutex;
    Counts counts ABSL_GUARDED_BY(mutex);
  };

  void Note(absl::string_view what, absl::string_view name) const {
    absl::MutexLock lock(&mutex_);
    events_.push_back({.what = std::string(what),
                       .name = std::string(name),
                       .thread = std::this_thread::get_id()});
  }
  absl::Status error(absl::string_view name) const {
    absl::MutexLock lock(&mutex_);
    auto found = errors_.find(name);
    return found == errors_.end() ? absl::OkStatus() : found->second;
  }

  std::vector<Weight> weights_;
  absl::flat_hash_map<std::string, at::Tensor> values_;
  mutable absl::Mutex mutex_;
  mutable std::vector<Event> events_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, absl::Status> errors_
      ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<SharedCounts> counts_ = std::make_shared<SharedCounts>();
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_OFFLOAD_FAKE_WEIGHTS_TESTUTIL_H_
