#ifndef PRETRAINED_CHECKPOINT_LOADING_RUN_READS_H_
#define PRETRAINED_CHECKPOINT_LOADING_RUN_READS_H_

#include <cstddef>
#include <cstdint>
#include <functional>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "checkpoint/loading/file_source.h"
#include "checkpoint/loading/read_plan.h"

namespace pretrained {

// One read and what becomes of it.
struct ReadJob {
  const FileSource* source = nullptr;
  const PlannedRead* read = nullptr;
  // Where the read's bytes go as they are: `begin` of the read, rounded down to
  // the source's alignment, at `destination`, which has room up to the end
  // rounded up. Null: they go through a buffer, and to the consumer.
  char* destination = nullptr;
};

struct RunReadsOptions {
  int num_threads = 1;  // Reads in flight; the calling thread is one of them.
  // Called from the calling thread alone, after some of its reads; may be
  // empty. `done_bytes` are those of all threads.
  std::function<void(int64_t done_bytes)> progress = {};
  // Told of every read that was done, and when it began and ended, by any
  // thread; may be empty.
  std::function<void(const ReadJob& job, absl::Time begin, absl::Time end)>
      finished = {};
  // Asked between reads, by any thread; true ends all with kCancelled. May be
  // empty.
  std::function<bool()> is_cancelled = {};
};

// Does all jobs, in their order as far as several threads have one.
//
//   consume  gets each piece of a read without destination, and its bytes,
//            which live until it returns; called by many threads at once
//
// The first error ends all: reads that have begun finish, no other begins.
// Memory: a buffer for each thread, of the longest read that needs one and two
//     blocks; given back before returning.
absl::Status RunReads(
    absl::Span<const ReadJob> jobs,
    absl::FunctionRef<absl::Status(const ReadPiece& piece, const char* bytes)>
        consume,
    const RunReadsOptions& options);

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_LOADING_RUN_READS_H_
