#ifndef PRETRAINED_MODELING_GPT_NEOX_GPT_NEOX_INPUTS_H_
#define PRETRAINED_MODELING_GPT_NEOX_GPT_NEOX_INPUTS_H_

#include <cstdint>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "modeling/gpt_neox/gpt_neox_config.h"
#include "modeling/model_output.h"
#include "modeling/named_inputs.h"

namespace pretrained {

// What forward takes; undefined where not given. Batch b, new tokens s, cached
// tokens p, hidden size e.
struct GPTNeoXModelInputs {
  at::Tensor input_ids;      // [b, s]; or
  at::Tensor inputs_embeds;  // [b, s, e]
  // [b, p + s]; 1 attends, 0 does not, fractions lie between.
  at::Tensor attention_mask;
  // [1 or b, s], or [s]; below p + s or max_position_embeddings, whichever is
  // more.
  at::Tensor position_ids;
  at::Tensor head_mask;  // [heads] or [layers, heads]; 0 drops a head.
  // Key and value of each layer, [b, heads, p, head size].
  KeyValueCache past_key_values;
};

struct GPTNeoXHeadInputs : GPTNeoXModelInputs {
  // [b, s] for GPTNeoXForCausalLM, where the token after predicts, and for
  // GPTNeoXForTokenClassification; [b], or [b, labels], for
  // GPTNeoXForSequenceClassification.
  at::Tensor labels;
};

struct GPTNeoXForQuestionAnsweringInputs : GPTNeoXModelInputs {
  at::Tensor start_positions;  // [b] or [b, 1]
  at::Tensor end_positions;
};

// Which of the inputs a class has beside those of all.
struct GPTNeoXInputSet {
  bool has_cache = true;
  // Whether it takes token_type_ids, which are looked at no further.
  bool has_token_types = false;
};

// Takes them by the names of forward's arguments.
void TakeGPTNeoXInputs(GPTNeoXInputSet set, NamedInputs& named,
                       GPTNeoXModelInputs& inputs);

struct GPTNeoXInputSizes {
  int64_t batch = 0;
  int64_t tokens = 0;
  int64_t cached = 0;
};

// Checks shapes, dtypes and ranges, but for the head mask's; `vocab_size` is
// the rows of the embeddings. kInvalidArgument, naming the input.
// Differs: refuses a position beyond the tokens and max_position_embeddings,
//     which 4.34 takes after a call of a longer sequence, and more rows of
//     positions than of tokens.
absl::StatusOr<GPTNeoXInputSizes> CheckGPTNeoXInputs(
    const GPTNeoXConfig& config, int64_t vocab_size,
    const GPTNeoXModelInputs& inputs);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_GPT_NEOX_GPT_NEOX_INPUTS_H_
