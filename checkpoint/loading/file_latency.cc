#include "checkpoint/loading/file_latency.h"

#include <algorithm>
#include <cstdint>
#include <optional>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "checkpoint/loading/file_source.h"

namespace pretrained {

std::optional<absl::Duration> MeasureLatency(const FileSource& source,
                                             int64_t begin, int64_t end) {
  if (begin >= end) return std::nullopt;
  constexpr int kReads = 3;
  absl::Duration took[kReads];
  for (int i = 0; i < kReads; ++i) {
    // The middle of the i-th of equal parts.
    const int64_t offset = begin + (end - begin) / (2 * kReads) * (2 * i + 1);
    char byte;
    const absl::Time start = absl::Now();
    if (!ReadRange(source, offset, offset + 1, &byte).ok()) return std::nullopt;
    took[i] = absl::Now() - start;
  }
  std::sort(took, took + kReads);
  return took[kReads / 2];
}

}  // namespace pretrained
