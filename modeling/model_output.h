#ifndef PRETRAINED_MODELING_MODEL_OUTPUT_H_
#define PRETRAINED_MODELING_MODEL_OUTPUT_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"

namespace pretrained {

// A model's inputs by the names of forward's arguments: "input_ids", ..
using NamedTensors = absl::flat_hash_map<std::string, at::Tensor>;

// What one layer keeps for the next token: key and value of self-attention,
// then, in a decoder with cross-attention, key and value of that; each
// [batch, heads, tokens, head size].
using LayerCache = std::vector<at::Tensor>;
// One entry a layer; empty before the first token. The peer's past_key_values.
using KeyValueCache = std::vector<LayerCache>;

class KeyValueStore;

// What a forward is asked for beside the inputs; the config decides where
// nothing is said.
struct ForwardOptions {
  std::optional<bool> output_attentions;
  std::optional<bool> output_hidden_states;
  std::optional<bool> use_cache;
  // Where a decoder keeps its keys and values (key_value_store.h), beside
  // use_cache; without one it makes new tensors of all of them at every call.
  KeyValueStore* key_value_store = nullptr;
  // Whether the logits of the last token alone, [batch, 1, ..], are wanted of a
  // model that predicts tokens; no loss goes with that.
  bool only_last_logits = false;
};

// A model's results under the names of the peer's ModelOutput, in its order;
// members of a tuple as "hidden_states.0", "hidden_states.1", ..
struct ModelOutput {
  std::vector<std::pair<std::string, at::Tensor>> fields;

  // The field of that name, or null.
  const at::Tensor* find(absl::string_view name) const {
    for (const auto& [field, tensor] : fields) {
      if (field == name) return &tensor;
    }
    return nullptr;
  }

  // Adds what is defined.
  void Add(absl::string_view name, const at::Tensor& tensor);
  void Add(absl::string_view name, const std::vector<at::Tensor>& tensors);
  // As NAME.LAYER.INDEX.
  void Add(absl::string_view name, const KeyValueCache& cache);
};

// Adds a cache to inputs, as "NAME.LAYER.INDEX".
void AddCacheByName(absl::string_view name, const KeyValueCache& cache,
                    NamedTensors& inputs);

// What a model without a head returns, under the names of the peer's
// BaseModelOutputWithPastAndCrossAttentions. What was not asked for is empty.
struct BaseModelOutput {
  at::Tensor last_hidden_state;  // [batch, tokens, hidden size]
  KeyValueCache past_key_values;
  std::vector<at::Tensor> hidden_states;     // layers + 1
  std::vector<at::Tensor> attentions;        // layers
  std::vector<at::Tensor> cross_attentions;  // layers

  ModelOutput ToNamed() const;
};

// What a model with a head that makes logits returns: the peer's
// MaskedLMOutput, CausalLMOutputWithPast, SequenceClassifierOutput and so on.
struct HeadOutput {
  at::Tensor loss;    // A scalar; undefined without labels.
  at::Tensor logits;  // [batch, ..]
  KeyValueCache past_key_values;
  std::vector<at::Tensor> hidden_states;
  std::vector<at::Tensor> attentions;
  std::vector<at::Tensor> cross_attentions;

  ModelOutput ToNamed() const;
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_MODEL_OUTPUT_H_
