#ifndef PRETRAINED_CHECKPOINT_LOADING_CHECKPOINT_SOURCE_H_
#define PRETRAINED_CHECKPOINT_LOADING_CHECKPOINT_SOURCE_H_

#include <memory>

#include "absl/base/attributes.h"
#include "absl/status/statusor.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/loading/file_source.h"

namespace pretrained {

// Whether Read() of this checkpoint takes any range of the file that holds
// `tensor`; one that holds tensors in memory (a state dict) knows them by name
// alone.
bool ReadsRanges(const Checkpoint& checkpoint, const TensorInfo& tensor);

// File `file` of the checkpoint as the checkpoint has it open, whatever became
// of its path; for checkpoints that read ranges. Buffered.
std::unique_ptr<FileSource> SourceOfFile(
    const Checkpoint& checkpoint ABSL_ATTRIBUTE_LIFETIME_BOUND, int file);

// The same file, opened again for direct reads; compares bytes of `tensor` to
// be sure that the path still names it.
//   kUnimplemented  it cannot be read direct, or another file is there now
//   kDataLoss       it is no longer as long as it was
absl::StatusOr<std::unique_ptr<FileSource>> DirectSourceOfFile(
    const Checkpoint& checkpoint, const TensorInfo& tensor);

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_LOADING_CHECKPOINT_SOURCE_H_
