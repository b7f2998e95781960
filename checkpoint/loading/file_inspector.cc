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
namespace {

// What comes from the page cache takes a few microseconds, what a program or a
// disk has to answer some tens of them, at least.
constexpr absl::Duration kCachedLatency = absl::Microseconds(15);

}  // namespace

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
  if (facts.file_system == FileSystemKind::kMemory) return facts;
  facts.cached_fraction = wrap_ ? 0.0 : CachedFraction(fd, begin, end);
  if (!facts.cached_fraction.has_value()) {
    // FUSE does not say what is cached; how long it takes to answer does.
    facts.latency = LatencyOf(file, begin, end, /*may_be_cached=*/true);
    const bool is_cached =
        facts.latency.value_or(absl::ZeroDuration()) < kCachedLatency;
    facts.cached_fraction = is_cached ? 1.0 : 0.0;
  } else if (*facts.cached_fraction < kLukewarmFraction) {
    facts.latency = LatencyOf(file, begin, end, /*may_be_cached=*/false);
  }
  return facts;
}

std::optional<absl::Duration> FileInspector::LatencyOf(int file, int64_t begin,
                                                       int64_t end,
                                                       bool may_be_cached) {
  const int fd = checkpoint_.FileDescriptor(file);
  struct stat info;
  if (fstat(fd, &info) != 0) return std::nullopt;
  // Of what may be cached, each file is asked.
  const auto [entry, is_new] = latencies_.try_emplace(
      std::pair(info.st_dev, may_be_cached ? info.st_ino : 0));
  if (is_new) {
    std::unique_ptr<FileSource> source =
        BufferedSource(fd, checkpoint_.files()[file].path);
    if (wrap_) source = wrap_(std::move(source));
    entry->second = MeasureLatency(*source, begin, end);
  }
  return entry->second;
}

}  // namespace pretrained
