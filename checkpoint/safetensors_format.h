#ifndef PRETRAINED_CHECKPOINT_SAFETENSORS_FORMAT_H_
#define PRETRAINED_CHECKPOINT_SAFETENSORS_FORMAT_H_

#include "checkpoint/checkpoint_format.h"

namespace pretrained {

// `model.safetensors`, its shards, any file whose name ends in
// ".safetensors", and any file that starts like one.
extern const CheckpointFormat kSafetensorsFormat;

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_SAFETENSORS_FORMAT_H_
