#ifndef PRETRAINED_CHECKPOINT_VARIANT_NAME_H_
#define PRETRAINED_CHECKPOINT_VARIANT_NAME_H_

#include <string>

#include "absl/strings/string_view.h"

namespace pretrained {

// What the `variant` of `file_name` is called: the variant goes before the
// extension.
//
//   AddVariant("model.safetensors", "fp16")   "model.fp16.safetensors"
//   AddVariant("model.safetensors.index.json", "fp16")
//                                 "model.safetensors.index.fp16.json"
//   AddVariant("model.safetensors", "")       "model.safetensors"
//
// Matches: transformers 4.34 modeling_utils.py `_add_variant`.
std::string AddVariant(absl::string_view file_name, absl::string_view variant);

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_VARIANT_NAME_H_
