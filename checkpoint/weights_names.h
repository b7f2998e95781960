#ifndef PRETRAINED_CHECKPOINT_WEIGHTS_NAMES_H_
#define PRETRAINED_CHECKPOINT_WEIGHTS_NAMES_H_

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint_format.h"

namespace pretrained {
namespace checkpoint_internal {

// How the weights of one format are called in a folder, whether or not this
// build reads them.
struct WeightsName {
  CheckpointFramework framework = CheckpointFramework::kPytorch;
  absl::string_view weights_name;
  absl::string_view index_name;  // Of a sharded one; empty: there is none.
  absl::string_view head;        // How such a file starts; empty: no sure sign.
  absl::string_view what;        // "a Keras HDF5 file".
};

// Those of transformers 4.34, in the order in which it looks for them (of
// TensorFlow and Flax, only where it is asked to).
absl::Span<const WeightsName> KnownWeightsNames();

// The format of `formats` that reads these; null if there is none.
const CheckpointFormat* FormatOf(
    const WeightsName& known,
    absl::Span<const CheckpointFormat* const> formats);

// Whether `file_name` is `name` with any variant, or without.
bool IsVariantOf(absl::string_view file_name, absl::string_view name);

}  // namespace checkpoint_internal
}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_WEIGHTS_NAMES_H_
