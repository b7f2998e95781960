#ifndef PRETRAINED_CHECKPOINT_CHECKPOINT_FORMATS_H_
#define PRETRAINED_CHECKPOINT_CHECKPOINT_FORMATS_H_

#include "absl/types/span.h"
#include "checkpoint/checkpoint_format.h"

namespace pretrained {
namespace checkpoint_internal {

// Every format this build reads, the one to prefer first: the order of
// transformers 4.34, which takes model.safetensors before pytorch_model.bin.
absl::Span<const CheckpointFormat* const> CheckpointFormats();

}  // namespace checkpoint_internal
}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_CHECKPOINT_FORMATS_H_
