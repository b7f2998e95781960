#include "modeling/model_output.h"

#include <string>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace pretrained {

void ModelOutput::Add(absl::string_view name, const at::Tensor& tensor) {
  if (tensor.defined()) fields.emplace_back(std::string(name), tensor);
}

void ModelOutput::Add(absl::string_view name,
                      const std::vector<at::Tensor>& tensors) {
  for (size_t i = 0; i < tensors.size(); ++i) {
    Add(absl::StrCat(name, ".", i), tensors[i]);
  }
}

}  // namespace pretrained
