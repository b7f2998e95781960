#ifndef PRETRAINED_MODELING_ACTIVATION_NAMES_H_
#define PRETRAINED_MODELING_ACTIVATION_NAMES_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace pretrained {

// An activation function as a config names it.
struct ActivationName {
  absl::string_view name;        // "gelu_new"
  absl::string_view class_name;  // Its module's class: "NewGELUActivation".
};

// All that a config may name, sorted by name.
// Matches: transformers 4.34 activations.py `ACT2CLS`.
absl::Span<const ActivationName> ActivationNames();

// The entry of that name, or null.
const ActivationName* FindActivation(absl::string_view name);

// "gelu, gelu_10, ..": for messages.
std::string ListActivations();

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_ACTIVATION_NAMES_H_
