#ifndef PRETRAINED_CHECKPOINT_TORCH_TORCH_FORMAT_H_
#define PRETRAINED_CHECKPOINT_TORCH_TORCH_FORMAT_H_

#include "checkpoint/checkpoint_format.h"

namespace pretrained {

// What OpenCheckpoint() knows of the files of torch.save: `pytorch_model.bin`
// in a folder, and any file that starts as a zip archive or as the legacy form.
extern const CheckpointFormat kTorchFormat;

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_TORCH_TORCH_FORMAT_H_
