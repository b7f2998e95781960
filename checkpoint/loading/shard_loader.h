#ifndef PRETRAINED_CHECKPOINT_LOADING_SHARD_LOADER_H_
#define PRETRAINED_CHECKPOINT_LOADING_SHARD_LOADER_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/loading/engine_choice.h"
#include "checkpoint/loading/file_inspector.h"
#include "checkpoint/loading/tensor_request.h"

namespace pretrained {

struct LoaderOptions {
  Sharing sharing = Sharing::kAuto;
  // The engine for every file, instead of what suits each.
  std::optional<ReadEngine> engine;
  int num_threads = 0;  // Reads in flight; 0: as many as suit the engine.
  // Private memory that tensors may take under Sharing::kAuto; beyond, they are
  // mapped. 0: what the machine and the control groups leave.
  int64_t memory_bytes = 0;
  // Called from the calling thread alone; may be empty.
  std::function<void(int64_t done_bytes, int64_t total_bytes)> progress = {};
  // Asked now and then, by any thread; true ends the load with kCancelled.
  std::function<bool()> is_cancelled = {};
  // Comes between the loader and every file that it reads: for tests, and for
  // measuring (slow_storage.h). All files count as cold then. May be empty.
  WrapSource wrap_source = {};
};

// How it went.
struct LoadReport {
  struct File {
    std::string path;
    EngineChoice engines;
    FileFacts facts;
    int64_t read_bytes = 0;  // Of the file; 0 where all was mapped.
    double seconds = 0.0;    // From its first read's begin to its last's end.

    // The engines that its tensors came by: "mapped", "buffered+mapped", ..
    std::string Engines() const;
    // Of what was read; 0 where nothing was.
    double gb_per_second() const;
  };
  std::vector<File> files;   // Those that something was wanted of.
  int64_t mapped_bytes = 0;  // Of the files, of tensors that are mapped.
  int64_t read_bytes = 0;    // Of the files, that were read.
  double seconds = 0.0;

  // The engines of all files.
  std::string Engines() const;
};

// Brings the tensors asked for into memory, each file by the engine that suits
// it (engine_choice.h), in the order of their bytes.
//
//   auto views = LoadTensors(**checkpoint, {{tensor, Dtype::kFloat32}});
//   (*views)[0].data;   // dense, row-major, in the dtype asked for
//
// Views are as Checkpoint::View() gives them, and aligned for their dtype:
// writing to them never reaches a file, nor another view: a tensor whose bytes
// overlap those of one before it in the file gets memory of its own. Mapped
// ones depend on the file, which is checked last; others do not. Those with a
// destination have no owner. Values: as Convert() of dtypes/convert.h makes
// them.
//   kUnimplemented, kInvalidArgument  as CheckRequest() says, before anything
//                       is read
//   kDataLoss           a file is no longer as it was when it was opened, or
//                       the disk failed
//   kResourceExhausted  there is no memory
//   kCancelled          is_cancelled() said so
//   or what a read was answered with; the first error ends all, nothing is left
// No page of a mapping is touched, so that a file that is cut short meanwhile
// is an error like any other and no signal. Cost: each byte wanted is read
// once, and at most 64 KiB between two of them.
//     Beside the tensors: a buffer for each thread; of tensors that are not in
//     place, one tensor at a time.
// Threads: starts its own, and is done with them when it returns.
absl::StatusOr<std::vector<TensorView>> LoadTensors(
    const Checkpoint& checkpoint, absl::Span<const TensorRequest> requests,
    const LoaderOptions& options = {}, LoadReport* report = nullptr);

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_LOADING_SHARD_LOADER_H_
