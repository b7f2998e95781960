#ifndef PRETRAINED_CHECKPOINT_OPEN_CHECKPOINT_H_
#define PRETRAINED_CHECKPOINT_OPEN_CHECKPOINT_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/checkpoint_format.h"

namespace pretrained {

// Opens the checkpoint at `path`: a folder as save_pretrained() leaves it, or a
// single file, whose format its name or its first bytes tell.
//
//   auto checkpoint = OpenCheckpoint("all-MiniLM-L6-v2");
//   auto half = OpenCheckpoint("all-MiniLM-L6-v2", {.variant = "fp16"});
//   auto file = OpenCheckpoint("adapter.safetensors");
//
//   kNotFound          no such path; or a folder without weights (the message
//                      lists what was looked for, and what is there)
//   kPermissionDenied  it may not be read
//   kInvalidArgument   not a file or folder, an unknown format, or a variant
//                      that is no part of a file name
//   kUnimplemented     weights in a format, or sharded, which this version does
//                      not read; the message says how to get one it does
//   kDataLoss          damaged, see SafetensorsReader::Open()
// Matches: transformers 4.34 modeling_utils.py `from_pretrained`, in which
//     names of a local folder it takes, and in which order.
// Differs: safetensors needs no flag; and there is no falling back to files
//     without the variant that was asked for.
absl::StatusOr<std::unique_ptr<Checkpoint>> OpenCheckpoint(
    const std::string& path, const OpenCheckpointOptions& options = {});

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_OPEN_CHECKPOINT_H_
