#ifndef PRETRAINED_CHECKPOINT_CHECKPOINT_FORMAT_H_
#define PRETRAINED_CHECKPOINT_CHECKPOINT_FORMAT_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "checkpoint/checkpoint.h"

namespace pretrained {

// How to open a checkpoint, whatever its format.
struct OpenCheckpointOptions {
  // Of a folder: the files of this variant, such as "fp16" for
  // model.fp16.safetensors. Empty: the ones without. No effect on a file.
  std::string variant = {};

  // Whether View() maps files. Without, it copies into memory of its own, which
  // a file cut short later does not harm. No effect on Read().
  bool use_mmap = true;
};

// One format that OpenCheckpoint() knows. A driver defines one of these, and
// the list in checkpoint_formats.cc names it:
//
//   const CheckpointFormat kSafetensorsFormat = {
//       .name = "safetensors",
//       .recognizes = ..,    // by extension, or by the first bytes
//       .folder_names = ..,  // {"model.safetensors"}
//       .open = ..};
struct CheckpointFormat {
  absl::string_view name;  // As Checkpoint::format().

  // Whether a file is in this format, going by its name (without folders) and
  // its first bytes: kSniffedBytes of them, or all if it has fewer.
  bool (*recognizes)(absl::string_view file_name, absl::string_view head);

  // What such a checkpoint is called within a folder, the name to try first in
  // front; of the given variant, or of none if that is empty.
  std::vector<std::string> (*folder_names)(absl::string_view variant);

  // Opens the file at `path`.
  absl::StatusOr<std::unique_ptr<Checkpoint>> (*open)(
      const std::string& path, const OpenCheckpointOptions& options);

  static constexpr int kSniffedBytes = 512;
};

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_CHECKPOINT_FORMAT_H_
