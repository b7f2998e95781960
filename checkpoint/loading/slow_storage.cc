#include "checkpoint/loading/slow_storage.h"

#include <sys/types.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "checkpoint/loading/file_source.h"

namespace pretrained {

class SlowStorage::SlowSource final : public FileSource {
 public:
  SlowSource(SlowStorage& storage, std::unique_ptr<FileSource> source)
      : storage_(storage), source_(std::move(source)) {}

  ssize_t ReadAt(char* data, size_t size, int64_t offset) const override {
    const ssize_t count = source_->ReadAt(
        data,
        std::min(size,
                 static_cast<size_t>(storage_.options_.max_request_bytes)),
        offset);
    storage_.Wait(std::max<int64_t>(count, 0));
    return count;
  }
  int64_t alignment() const override { return source_->alignment(); }
  const std::string& path() const override { return source_->path(); }

 private:
  SlowStorage& storage_;
  const std::unique_ptr<FileSource> source_;
};

std::unique_ptr<FileSource> SlowStorage::Wrap(
    std::unique_ptr<FileSource> source) {
  return std::make_unique<SlowSource>(*this, std::move(source));
}

void SlowStorage::Wait(int64_t bytes) {
  const absl::Time now = absl::Now();
  absl::Time done = now + options_.latency;
  {
    absl::MutexLock lock(&mutex_);
    ++requests_;
    most_in_flight_ = std::max(most_in_flight_, ++in_flight_);
    if (options_.bytes_per_second > 0) {
      // One after the other over one line, once the latency is over.
      done =
          std::max(done, line_is_free_) +
          absl::Seconds(static_cast<double>(bytes) / options_.bytes_per_second);
      line_is_free_ = done;
    }
  }
  absl::SleepFor(done - absl::Now());
  absl::MutexLock lock(&mutex_);
  --in_flight_;
}

int64_t SlowStorage::requests() const {
  absl::MutexLock lock(&mutex_);
  return requests_;
}

int SlowStorage::most_in_flight() const {
  absl::MutexLock lock(&mutex_);
  return most_in_flight_;
}

}  // namespace pretrained
