#ifndef PRETRAINED_MODELING_BERT_BERT_INPUTS_H_
#define PRETRAINED_MODELING_BERT_BERT_INPUTS_H_

#include <cstdint>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "modeling/bert/bert_config.h"
#include "modeling/bert/bert_encoder.h"
#include "modeling/model_output.h"

namespace pretrained {

// The arguments of BertModel's forward: batch b, tokens s, hidden size e. What
// is not given is undefined.
struct BertModelInputs {
  at::Tensor input_ids;  // [b, s] of int64 or int32; or inputs_embeds instead.
  at::Tensor attention_mask;  // [b, s + cached], or [b, s, s + cached].
  at::Tensor token_type_ids;  // [b, s]
  at::Tensor position_ids;    // [1 or b, s]
  at::Tensor head_mask;       // [heads] or [layers, heads]; 1 keeps.
  at::Tensor inputs_embeds;   // [b, s, e]
  // For a decoder with cross-attention: [b, encoder tokens, e] and its mask,
  // [b, encoder tokens] or [b, s, encoder tokens].
  at::Tensor encoder_hidden_states;
  at::Tensor encoder_attention_mask;
  std::vector<BertLayerCache> past_key_values;  // A decoder's, one a layer.
};

// Tokens that the cache covers.
int64_t CachedLength(const BertModelInputs& inputs);

// The inputs by the names of forward's arguments; "past_key_values.L.N" is
// tensor N of layer L. kInvalidArgument, listing the names, for another one.
absl::StatusOr<BertModelInputs> BertInputsByName(absl::string_view class_name,
                                                 const NamedTensors& inputs);

// kInvalidArgument, naming the input, what it is and what was expected, for
// shapes or values that do not fit a model of this config. Values are looked at
// on the CPU only.
absl::Status CheckBertInputs(const BertConfig& config,
                             const BertModelInputs& inputs);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_BERT_BERT_INPUTS_H_
