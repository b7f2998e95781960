#ifndef PRETRAINED_MODELING_BERT_BERT_INPUTS_H_
#define PRETRAINED_MODELING_BERT_BERT_INPUTS_H_

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "modeling/bert/bert_config.h"
#include "modeling/model_output.h"
#include "modeling/named_inputs.h"

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
  KeyValueCache past_key_values;  // A decoder's, one a layer.
};

// Those of the models with a head, which add labels; with these the loss is
// computed. Their classes say which shape they have.
struct BertHeadInputs : BertModelInputs {
  at::Tensor labels;
};

// BertForPreTraining's: the loss wants both.
struct BertForPreTrainingInputs : BertHeadInputs {
  at::Tensor next_sentence_label;  // [b]: 0 where the sentence follows.
};

// BertForQuestionAnswering's: where answers start and end; the loss wants both.
struct BertForQuestionAnsweringInputs : BertModelInputs {
  at::Tensor start_positions;  // [b] or [b, 1]
  at::Tensor end_positions;    // [b] or [b, 1]
};

// Which of BertModelInputs a class's forward has.
enum class BertInputSet {
  kEncoder,        // Neither encoder states nor a cache.
  kEncoderStates,  // No cache.
  kAll,
};

// Takes those inputs by the names of forward's arguments.
void TakeBertInputs(BertInputSet set, NamedInputs& named,
                    BertModelInputs& inputs);

// kInvalidArgument, naming the class and the input, for one that is given but
// not in `set`.
absl::Status CheckInputSet(BertInputSet set, absl::string_view class_name,
                           const BertModelInputs& inputs);

// kInvalidArgument, naming the input, what it is and what was expected, for
// shapes or values that do not fit a model of this config. Values are looked at
// on the CPU only.
absl::Status CheckBertInputs(const BertConfig& config,
                             const BertModelInputs& inputs);

// The positions that the embeddings take, [1 or b, s] of int64, for inputs that
// CheckBertInputs() found good: those given; else, where the config counts so,
// those that pass over padding; else undefined, for the embeddings count
// themselves. Embeddings of words do not show padding: where these are given,
// every one counts, from pad_token_id + 1.
// kInvalidArgument for more than the model has positions, or no pad_token_id.
// Matches: transformers 4.34 modeling_roberta.py
//     `create_position_ids_from_input_ids`.
absl::StatusOr<at::Tensor> BertPositions(const BertConfig& config,
                                         const BertModelInputs& inputs);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_BERT_BERT_INPUTS_H_
