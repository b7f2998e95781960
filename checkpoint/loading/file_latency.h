#ifndef PRETRAINED_CHECKPOINT_LOADING_FILE_LATENCY_H_
#define PRETRAINED_CHECKPOINT_LOADING_FILE_LATENCY_H_

#include <cstdint>
#include <optional>

#include "absl/time/time.h"
#include "checkpoint/loading/file_source.h"

namespace pretrained {

// How long `source` takes to answer a small request: the median of three reads
// of a byte, far from each other within [begin, end). Of a file that is not
// cached that is the latency of what holds it: some tens of microseconds of a
// flash disk, some milliseconds of a network. nullopt if a read fails, which is
// left to the reads that follow to report.
// Cost: the three reads; the pages that hold the bytes are cached thereafter.
std::optional<absl::Duration> MeasureLatency(const FileSource& source,
                                             int64_t begin, int64_t end);

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_LOADING_FILE_LATENCY_H_
