#ifndef PRETRAINED_CHECKPOINT_PICKLE_PICKLE_TEXT_NUMPY_H_
#define PRETRAINED_CHECKPOINT_PICKLE_PICKLE_TEXT_NUMPY_H_

#include <cstddef>
#include <optional>
#include <string>

#include "checkpoint/pickle/pickle_value.h"

namespace pretrained {
namespace checkpoint_internal {

// repr() of a numpy array, scalar or dtype, at least its first `max_size`
// bytes. nullopt for any other value, for element types other than numbers and
// bool, and for what contradicts itself.
std::optional<std::string> NumpyRepr(PickleValue value, size_t max_size);

}  // namespace checkpoint_internal
}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_PICKLE_PICKLE_TEXT_NUMPY_H_
