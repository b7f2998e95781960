#ifndef PRETRAINED_CHECKPOINT_WEIGHTS_FILE_H_
#define PRETRAINED_CHECKPOINT_WEIGHTS_FILE_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint_format.h"

namespace pretrained {

// The file to open in a folder of weights.
struct WeightsFile {
  std::string name;  // Within the folder.
  const CheckpointFormat* format = nullptr;
  bool is_index = false;  // Of shards, which are to be opened instead.
};

// Which of the files `names`, all those in `folder`, a load takes; folders end
// in "/". Looked for are, in this order: with `from_tf` model.ckpt.index and
// tf_model.h5, with `from_flax` flax_model.msgpack; then, with the variant in
// their names, model.safetensors, its index (but for `use_safetensors` false),
// pytorch_model.bin and its index (but for `use_safetensors` true).
//
//   OpenCheckpointOptions options = {.variant = "fp16"};
//   auto file = FindWeightsFile("gpt2", {"config.json",
//   "model.fp16.safetensors"},
//                               formats, options);
//   file->name;      // "model.fp16.safetensors"
//
//   kNotFound       none of them is there: the message says what was looked
//                   for, what the folder has, and which option would take it
//   kUnimplemented  the one to take is in none of `formats`
// Threads: pure; `folder` serves only in messages.
// Matches: transformers 4.34 modeling_utils.py `from_pretrained`, of a folder.
// Differs: the index of TensorFlow or Flax shards is taken too, behind the
//     single file; `use_safetensors` true never takes a pickle.
absl::StatusOr<WeightsFile> FindWeightsFile(
    absl::string_view folder, absl::Span<const std::string> names,
    absl::Span<const CheckpointFormat* const> formats,
    const OpenCheckpointOptions& options);

// Which of `names` load_sharded_checkpoint() takes: an index, of safetensors if
// there is one and `prefer_safe`, else of pickles if there is one. Errors as
// FindWeightsFile().
// Matches: transformers 4.34 modeling_utils.py `load_sharded_checkpoint`.
absl::StatusOr<WeightsFile> FindShardedWeights(
    absl::string_view folder, absl::Span<const std::string> names,
    absl::Span<const CheckpointFormat* const> formats, bool prefer_safe);

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_WEIGHTS_FILE_H_
