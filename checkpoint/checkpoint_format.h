#ifndef PRETRAINED_CHECKPOINT_CHECKPOINT_FORMAT_H_
#define PRETRAINED_CHECKPOINT_CHECKPOINT_FORMAT_H_

#include <memory>
#include <optional>
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

  // Of a folder: true takes safetensors files only, false none of them. Without
  // a value they come first, but others will do.
  std::optional<bool> use_safetensors = {};

  // Of a folder: where in it to look. Empty: in itself.
  std::string subfolder = {};

  // Of a folder: takes the weights that TensorFlow, or Flax, saved.
  bool from_tf = false;
  bool from_flax = false;

  // Whether a deflated or stored record's CRC-32 is checked when it is read;
  // torch.load checks none.
  bool check_crc = false;
};

// Who saved a checkpoint: names and layouts of weights differ between them.
enum class CheckpointFramework { kPytorch, kTensorflow, kFlax };

// One format that OpenCheckpoint() knows. A driver defines one of these, and
// the list in checkpoint_formats.cc names it:
//
//   const CheckpointFormat kSafetensorsFormat = {
//       .name = "safetensors",
//       .weights_name = "model.safetensors",
//       .index_name = "model.safetensors.index.json",
//       .recognizes = ..,    // by extension, or by the first bytes
//       .open = ..};
struct CheckpointFormat {
  absl::string_view name;  // For messages: "safetensors", "torch".
  CheckpointFramework framework = CheckpointFramework::kPytorch;

  // What such a checkpoint, and the index of a sharded one, is called within a
  // folder, without variant. Empty: the format has none.
  absl::string_view weights_name;
  absl::string_view index_name;

  // Whether a file is in this format, going by its name (without folders) and
  // its first bytes: kSniffedBytes of them, or all if it has fewer.
  bool (*recognizes)(absl::string_view file_name, absl::string_view head);

  // Opens the files at `paths`, at least one, which together hold each tensor
  // once; files() and tensors() are in their order.
  absl::StatusOr<std::unique_ptr<Checkpoint>> (*open)(
      const std::vector<std::string>& paths,
      const OpenCheckpointOptions& options);

  static constexpr int kSniffedBytes = 512;
};

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_CHECKPOINT_FORMAT_H_
