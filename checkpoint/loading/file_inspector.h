#ifndef PRETRAINED_CHECKPOINT_LOADING_FILE_INSPECTOR_H_
#define PRETRAINED_CHECKPOINT_LOADING_FILE_INSPECTOR_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/loading/engine_choice.h"
#include "checkpoint/loading/file_source.h"
#include "checkpoint/loading/tensor_request.h"

namespace pretrained {

// Puts something between a reader and a file; empty: nothing.
using WrapSource =
    std::function<std::unique_ptr<FileSource>(std::unique_ptr<FileSource>)>;

// Finds out what an engine is chosen by.
// Threads: one at a time.
class FileInspector {
 public:
  // With `wrap`, all files count as cold, and are as slow as it makes them.
  FileInspector(const Checkpoint& checkpoint,
                absl::Span<const TensorRequest> requests,
                const WrapSource& wrap)
      : checkpoint_(checkpoint), requests_(requests), wrap_(wrap) {}

  // Of file number `file`, what `share` says is wanted of it, and the memory
  // that is available. Of what is small nothing is asked.
  // Cost: some microseconds; of files that are cold, three small reads of one
  //     of them for each file system, or of each where it does not say what is
  //     cached.
  FileFacts Inspect(int file, const FileShare& share, int64_t available_bytes);

 private:
  std::optional<absl::Duration> LatencyOf(int file, int64_t begin, int64_t end,
                                          bool may_be_cached);

  const Checkpoint& checkpoint_;
  const absl::Span<const TensorRequest> requests_;
  const WrapSource& wrap_;
  // By file system, and by file where some may be cached.
  std::map<std::pair<dev_t, ino_t>, std::optional<absl::Duration>> latencies_;
};

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_LOADING_FILE_INSPECTOR_H_
