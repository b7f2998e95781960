#include "checkpoint/loading/run_reads.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "checkpoint/loading/file_source.h"
#include "checkpoint/loading/read_plan.h"
#include "checkpoint/make_pages.h"

namespace pretrained {
namespace {

using Consumer = absl::FunctionRef<absl::Status(const ReadPiece&, const char*)>;

int64_t RoundDown(int64_t value, int64_t to) { return value / to * to; }
int64_t RoundUp(int64_t value, int64_t to) {
  return RoundDown(value + to - 1, to);
}

struct FreeMemory {
  void operator()(char* memory) const { std::free(memory); }
};

// Memory that direct reads may go to, made when it is first needed.
class Buffer {
 public:
  char* AtLeast(int64_t bytes) {
    if (bytes <= bytes_) return memory_.get();
    memory_.reset(static_cast<char*>(std::aligned_alloc(
        kDirectAlignment, RoundUp(bytes, kDirectAlignment))));
    bytes_ = memory_ == nullptr ? 0 : bytes;
    return memory_.get();
  }

 private:
  std::unique_ptr<char, FreeMemory> memory_;
  int64_t bytes_ = 0;
};

absl::Status RunOne(const ReadJob& job, Consumer consume, Buffer& buffer) {
  const PlannedRead& read = *job.read;
  const int64_t alignment = job.source->alignment();
  const int64_t begin = RoundDown(read.begin, alignment);
  char* data = job.destination;
  if (data == nullptr) {
    const int64_t bytes = RoundUp(read.end - begin, alignment);
    data = buffer.AtLeast(bytes);
    if (data == nullptr) {
      return absl::ResourceExhaustedError(
          absl::StrCat(job.source->path(), ": no memory to read ", bytes,
                       " bytes at a "
                       "time"));
    }
  } else if (alignment == 1) {
    MakePages(data, read.nbytes());  // Direct reads make them by themselves.
  }
  absl::Status status = ReadRange(*job.source, begin, read.end, data);
  if (!status.ok() || job.destination != nullptr) return status;
  for (const ReadPiece& piece : read.pieces) {
    status = consume(piece, data + (piece.begin - begin));
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status RunReads(absl::Span<const ReadJob> jobs, Consumer consume,
                      const RunReadsOptions& options) {
  std::atomic<size_t> next = 0;
  std::atomic<int64_t> done_bytes = 0;
  absl::Mutex mutex;
  absl::Status result;
  const auto work = [&](bool reports) {
    Buffer buffer;
    for (size_t i = next++; i < jobs.size(); i = next++) {
      const absl::Time begin = absl::Now();
      absl::Status status =
          options.is_cancelled && options.is_cancelled()
              ? absl::CancelledError("loading was cancelled by the caller")
              : RunOne(jobs[i], consume, buffer);
      if (!status.ok()) {
        next = jobs.size();
        absl::MutexLock lock(&mutex);
        result.Update(status);
        return;
      }
      done_bytes += jobs[i].read->nbytes();
      if (options.finished) options.finished(jobs[i], begin, absl::Now());
      if (reports && options.progress) options.progress(done_bytes);
    }
  };
  const auto threads = static_cast<int>(std::min<size_t>(
      std::max(options.num_threads, 1), std::max<size_t>(jobs.size(), 1)));
  std::vector<std::thread> others;
  others.reserve(threads - 1);
  for (int i = 1; i < threads; ++i) others.emplace_back(work, false);
  work(true);
  for (std::thread& thread : others) thread.join();
  return result;
}

}  // namespace pretrained
