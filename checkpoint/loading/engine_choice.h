#ifndef PRETRAINED_CHECKPOINT_LOADING_ENGINE_CHOICE_H_
#define PRETRAINED_CHECKPOINT_LOADING_ENGINE_CHOICE_H_

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "checkpoint/loading/file_system_kind.h"

namespace pretrained {

// How the bytes of a file become tensors.
enum class ReadEngine {
  kMapped,    // Nothing is read: pages of the file come as they are touched.
  kWarmed,    // Read into the page cache, many requests at a time, then mapped.
  kBuffered,  // Read through the page cache into memory of our own.
  kDirect,    // Read around it into memory of our own.
  kStreaming,  // Into memory of our own by long requests, many at a time.
};

// "mapped", "warmed", "buffered", "direct", "streaming".
absl::string_view ReadEngineName(ReadEngine engine);

// Whose memory same-dtype tensors live in.
enum class Sharing {
  kAuto,     // Of the page cache where the file is there, else private.
  kShared,   // Of the page cache: processes that load the same file share it.
  kPrivate,  // Of this process: nothing depends on the file afterwards.
};

// What is known of a file and of what is wanted of it.
struct FileFacts {
  FileSystemKind file_system = FileSystemKind::kLocal;
  // The part of what is wanted that the page cache has; absent: not told.
  std::optional<double> cached_fraction;
  // How long a small request takes; absent: not measured, since it is warm,
  // small or in memory.
  std::optional<absl::Duration> latency;
  int64_t mapped_bytes = 0;     // Wanted as they are stored.
  int64_t converted_bytes = 0;  // Wanted in another dtype.
  int64_t available_bytes = 0;  // Memory for what is read into private memory.
};

inline constexpr int64_t kSmallBytes = int64_t{4} << 20;

// Below, what is cached is not worth reading all of it through the cache.
inline constexpr double kLukewarmFraction = 0.5;

// Storage that takes as long to answer counts as a network, whatever it says.
inline constexpr absl::Duration kNetworkLatency = absl::Milliseconds(1);

struct EngineChoice {
  ReadEngine as_stored = ReadEngine::kMapped;    // Of tensors in their dtype.
  ReadEngine converted = ReadEngine::kBuffered;  // Of those in another one.
};

// The engines that suit: what is warm is mapped, what is cold is read direct
// from a disk and by long requests from where each takes a while; never into
// more private memory than there is. What is small, up to kSmallBytes, counts
// as warm: less is to be gained than asking costs.
EngineChoice ChooseEngine(const FileFacts& facts, Sharing sharing);

// Reads in flight that suit an engine here: few from the page cache, which
// takes processors, more from disks and networks, which do not; of the latter,
// the more the longer one waits for each.
int ThreadsFor(ReadEngine engine, int num_cpus,
               std::optional<absl::Duration> latency = std::nullopt);

// The longest read that suits.
int64_t MaxReadBytesFor(ReadEngine engine);

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_LOADING_ENGINE_CHOICE_H_
