#include "checkpoint/loading/file_inspector.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "absl/time/time.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/loading/engine_choice.h"
#include "checkpoint/loading/file_latency.h"
#include "checkpoint/loading/file_source.h"
#include "checkpoint/loading/file_system_kind.h"
#include "checkpoint/loading/page_cache.h"
#include "checkpoint/loading/tensor_request.h"

namespace pretrained {

FileFacts FileInspector::Inspect(int file, const FileShare& share,
                                 int64_t available_bytes) {
  FileFacts facts = {.available_bytes = available_bytes};
  int64_t begin = INT64_MAX;
  int64_t end = 0;
  for (const auto* list : {&share.as_stored, &share.converted}) {
    for (const size_t i : *list) {
      begin = std::min(begin, requests_[i].tensor->begin);
      end = std::max(end, requests_[i].tensor->end);
      (list == &share.as_stored ? facts.mapped_bytes : facts.converted_bytes) +=
          ResultBytes(requests_[i]);
    }
  }
  for (const size_t i : share.whole) {
    facts.converted_bytes += ResultBytes(requests_[i]);
  }
  for (const size_t i : share.viewed) {
    facts.mapped_bytes += ResultBytes(requests_[i]);
  }
  const int fd = checkpoint_.FileDescriptor(file);
  if (fd >= 0) facts.file_system = KindOfFileSystem(fd);
  if (begin >= end ||
      facts.mapped_bytes + facts.converted_bytes <= kSmallBytes) {
    return facts;
  }
  facts.cached_fraction = wrap_ ? 0.0 : CachedFraction(fd, begin, end);
  if (facts.file_system != FileSystemKind::kMemory &&
      facts.cached_fraction.value_or(1.0) < kLukewarmFraction) {
    facts.latency = LatencyOf(file, begin, end);
  }
  return facts;
}

std::optional<absl::Duration> FileInspector::LatencyOf(int file, int64_t begin,
                                                       int64_t end) {
  const int fd = checkpoint_.FileDescriptor(file);
  struct stat info;
  if (fstat(fd, &info) != 0) return std::nullopt;
  const auto [entry, is_new] = latencies_.try_emplace(info.st_dev);
  if (is_new) {
    std::unique_ptr<FileSource> source =
        BufferedSource(fd, checkpoint_.files()[file].path);
    if (wrap_) source = wrap_(std::move(source));
    entry->second = MeasureLatency(*source, begin, end);
  }
  return entry->second;
}

}  // namespace pretrained
