#ifndef PRETRAINED_GENERATION_GENERATION_TESTUTIL_H_
#define PRETRAINED_GENERATION_GENERATION_TESTUTIL_H_

#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>

#include "ATen/core/Tensor.h"
#include "absl/strings/str_cat.h"
#include "modeling/model_output.h"
#include "modeling/tensor_testutil.h"

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
  const auto found = tensors.find(name);
  if (found != tensors.end()) return found->second;
  return {};
}

// Of the tensors "KIND.NUMBER.NAME" of processors.safetensors those of `kind`,
// by number.
inline std::map<int64_t, NamedTensors> TensorsByCase(const std::string& kind) {
  std::map<int64_t, NamedTensors> by_case;
  for (const auto& [name, tensor] : ReadGolden(
           CasesFile("processors.safetensors"), absl::StrCat(kind, "."))) {
    const size_t dot = name.find('.');
    by_case[std::stoll(name.substr(0, dot))][name.substr(dot + 1)] = tensor;
  }
  return by_case;
}

}  // namespace pretrained

#endif  // PRETRAINED_GENERATION_GENERATION_TESTUTIL_H_
