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

void ModelOutput::Add(absl::string_view name, const KeyValueCache& cache) {
  for (size_t layer = 0; layer < cache.size(); ++layer) {
    Add(absl::StrCat(name, ".", layer), cache[layer]);
  }
}

void AddCacheByName(absl::string_view name, const KeyValueCache& cache,
                    NamedTensors& inputs) {
  for (size_t layer = 0; layer < cache.size(); ++layer) {
    for (size_t i = 0; i < cache[layer].size(); ++i) {
      inputs[absl::StrCat(name, ".", layer, ".", i)] = cache[layer][i];
    }
  }
}

ModelOutput BaseModelOutput::ToNamed() const {
  ModelOutput named;
  named.Add("last_hidden_state", last_hidden_state);
  named.Add("past_key_values", past_key_values);
  named.Add("hidden_states", hidden_states);
  named.Add("attentions", attentions);
  named.Add("cross_attentions", cross_attentions);
  return named;
}

ModelOutput HeadOutput::ToNamed() const {
  ModelOutput named;
  named.Add("loss", loss);
  named.Add("logits", logits);
  named.Add("past_key_values", past_key_values);
  named.Add("hidden_states", hidden_states);
  named.Add("attentions", attentions);
  named.Add("cross_attentions", cross_attentions);
  return named;
}

}  // namespace pretrained
