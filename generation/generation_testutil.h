#ifndef PRETRAINED_GENERATION_GENERATION_TESTUTIL_H_
#define PRETRAINED_GENERATION_GENERATION_TESTUTIL_H_

#include <cstdlib>
#include <string>

#include "ATen/core/Tensor.h"
#include "absl/strings/str_cat.h"
#include "modeling/model_output.h"

namespace pretrained {

// A file of the cases that testdata/generation/pieces.py wrote: the stored
// ones, or those of the folder $GENERATION_CASES (random_pieces.py).
inline std::string CasesFile(const std::string& name) {
  const char* folder = std::getenv("GENERATION_CASES");
  return absl::StrCat(folder == nullptr ? "testdata/generation" : folder, "/",
                      name);
}

// The tensor `name` of a case; undefined if it has none.
inline at::Tensor TensorOf(const NamedTensors& tensors,
                           const std::string& name) {
  for (const auto& [its_name, tensor] : tensors) {
    if (its_name == name) return tensor;
  }
  return {};
}

}  // namespace pretrained

#endif  // PRETRAINED_GENERATION_GENERATION_TESTUTIL_H_
