#include "checkpoint/checkpoint_formats.h"

#include "absl/types/span.h"
#include "checkpoint/checkpoint_format.h"
#include "checkpoint/safetensors_format.h"
#include "checkpoint/torch/torch_format.h"

namespace pretrained {
namespace checkpoint_internal {

absl::Span<const CheckpointFormat* const> CheckpointFormats() {
  // A new format is a line here, and the driver it names.
  static constexpr const CheckpointFormat* kFormats[] = {
      &kSafetensorsFormat,
      &kTorchFormat,
  };
  return kFormats;
}

}  // namespace checkpoint_internal
}  // namespace pretrained
