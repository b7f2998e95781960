#ifndef PRETRAINED_MODELING_OPT_OPT_INPUTS_H_
#define PRETRAINED_MODELING_OPT_OPT_INPUTS_H_

#include <cstdint>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modeling/model_output.h"
#include "modeling/named_inputs.h"
#include "modeling/opt/opt_config.h"

namespace pretrained {

// The arguments of OPTModel's forward: batch b, new tokens s, cached tokens p,
// heads h. What is not given is undefined.
struct OPTModelInputs {
  at::Tensor input_ids;       // [b, s]; or inputs_embeds instead.
  at::Tensor attention_mask;  // [b, p + s]; 1 attends, all else does not.
  // [layers, h]; 1 keeps, 0 drops a head. Pruned ones have an entry, too.
  at::Tensor head_mask;
  KeyValueCache
      past_key_values;       // Key and value a layer, [b, h, p, head size].
  at::Tensor inputs_embeds;  // [b, s, word_embed_proj_dim]
};

// OPTForCausalLM's and OPTForSequenceClassification's.
struct OPTHeadInputs : OPTModelInputs {
  // [b, s], where the token after predicts; or [b] or [b, labels] of sequences.
  at::Tensor labels;
};

// OPTForQuestionAnswering's: the loss wants both.
struct OPTForQuestionAnsweringInputs : OPTModelInputs {
  at::Tensor start_positions;  // [b] or [b, 1]
  at::Tensor end_positions;    // [b] or [b, 1]
};

// Takes OPTModel's inputs by the names of forward's arguments.
void TakeOPTInputs(NamedInputs& named, OPTModelInputs& inputs);

// What follows from inputs that are well-formed.
struct OPTInputFacts {
  int64_t batch = 0;
  int64_t tokens = 0;
  int64_t cached = 0;
  // [b, s] of int64: each new token's row in the table of positions. A token's
  // position is the number of tokens before it that attend; one that does not
  // attend has row 1.
  at::Tensor position_rows;
};

// Checks shapes, dtypes and ranges, and looks up positions; `vocab_size` is the
// rows of the embeddings. kInvalidArgument, naming the input, what it is and
// what was expected. Values are looked at on the CPU only.
// Matches: transformers 4.34 `OPTDecoder.forward` and
//     `OPTLearnedPositionalEmbedding`.
// Differs: refuses a mask of one row for many, which 4.34 takes where there is
//     more than one new token.
absl::StatusOr<OPTInputFacts> CheckOPTInputs(const OPTConfig& config,
                                             int64_t vocab_size,
                                             const OPTModelInputs& inputs);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_OPT_OPT_INPUTS_H_
