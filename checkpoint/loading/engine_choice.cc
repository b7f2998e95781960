#include "checkpoint/loading/engine_choice.h"

#include <algorithm>
#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "checkpoint/loading/file_system_kind.h"

namespace pretrained {
namespace {

// A file counts as warm from here on: the rest is less to fault in than all is
// to copy.
constexpr double kWarmFraction = 0.9;

bool IsSmall(const FileFacts& facts) {
  return facts.mapped_bytes + facts.converted_bytes <= kSmallBytes;
}

// The engine that reads into memory of our own.
ReadEngine Reader(const FileFacts& facts) {
  if (IsSmall(facts)) return ReadEngine::kBuffered;
  if (facts.file_system == FileSystemKind::kMemory) {
    return ReadEngine::kBuffered;
  }
  if (facts.file_system != FileSystemKind::kLocal ||
      facts.latency.value_or(absl::ZeroDuration()) >= kNetworkLatency) {
    return facts.cached_fraction.value_or(0.0) >= kWarmFraction
               ? ReadEngine::kBuffered
               : ReadEngine::kStreaming;
  }
  // A file system that does not tell is read as if it were warm, which costs
  // little if it is not.
  return facts.cached_fraction.value_or(1.0) >= kLukewarmFraction
             ? ReadEngine::kBuffered
             : ReadEngine::kDirect;
}

}  // namespace

absl::string_view ReadEngineName(ReadEngine engine) {
  switch (engine) {
    case ReadEngine::kMapped:
      return "mapped";
    case ReadEngine::kWarmed:
      return "warmed";
    case ReadEngine::kBuffered:
      return "buffered";
    case ReadEngine::kDirect:
      return "direct";
    case ReadEngine::kStreaming:
      return "streaming";
  }
  return "buffered";
}

EngineChoice ChooseEngine(const FileFacts& facts, Sharing sharing) {
  const ReadEngine reader = Reader(facts);
  EngineChoice choice = {.as_stored = reader, .converted = reader};
  if (sharing == Sharing::kPrivate) return choice;
  const bool is_memory = facts.file_system == FileSystemKind::kMemory;
  const bool is_warm = is_memory || IsSmall(facts) ||
                       facts.cached_fraction.value_or(1.0) >= kWarmFraction;
  const bool has_room =
      facts.mapped_bytes + facts.converted_bytes <= facts.available_bytes;
  if (is_warm) {
    choice.as_stored = ReadEngine::kMapped;
  } else if (sharing == Sharing::kShared || !has_room) {
    choice.as_stored = ReadEngine::kWarmed;
  }
  return choice;
}

int ThreadsFor(ReadEngine engine, int num_cpus,
               std::optional<absl::Duration> latency) {
  const int cpus = std::max(num_cpus, 1);
  switch (engine) {
    case ReadEngine::kMapped:
      return 1;
    case ReadEngine::kBuffered:
      return std::min(cpus, 8);
    case ReadEngine::kWarmed:
    case ReadEngine::kDirect:
      return std::clamp(2 * cpus, 4, 16);
    case ReadEngine::kStreaming: {
      // As many as bring 2.5 GB/s in pieces of 128 KiB, the least that file
      // systems ask for at a time when much is read.
      const int waiting = static_cast<int>(
          std::min(latency.value_or(absl::ZeroDuration()), absl::Seconds(1)) /
          absl::Microseconds(50));
      return std::clamp(waiting, 16, 64);
    }
  }
  return cpus;
}

int64_t MaxReadBytesFor(ReadEngine engine) {
  switch (engine) {
    case ReadEngine::kMapped:
    case ReadEngine::kBuffered:
      return int64_t{1} << 20;  // Stays in a core's cache until converted.
    case ReadEngine::kWarmed:
    case ReadEngine::kDirect:
      return int64_t{4} << 20;
    case ReadEngine::kStreaming:
      return int64_t{2} << 20;  // Short enough to give all threads some.
  }
  return int64_t{1} << 20;
}

}  // namespace pretrained
