#ifndef PRETRAINED_MODELING_BLOOM_BLOOM_INPUTS_H_
#define PRETRAINED_MODELING_BLOOM_BLOOM_INPUTS_H_

#include <cstdint>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "modeling/bloom/bloom_config.h"
#include "modeling/model_output.h"
#include "modeling/named_inputs.h"

namespace pretrained {

// The arguments of BloomModel's forward: batch b, new tokens s, cached tokens
// p, hidden size e, heads h, head size d. What is not given is undefined.
struct BloomModelInputs {
  at::Tensor input_ids;      // [b, s]; or
  at::Tensor inputs_embeds;  // [b, s, e]
  // [b, p + s]; a token attends unless it is 0. Its numbers are what positions
  // are counted by, so 1 is meant.
  at::Tensor attention_mask;
  at::Tensor head_mask;  // [h] or [layers, h]; 0 drops a head.
  // Key [b h, d, p] and value [b h, p, d] of each layer, as the peer has them;
  // with a key_value_store, both [b, h, p, d], views of it.
  KeyValueCache past_key_values;
};

struct BloomHeadInputs : BloomModelInputs {
  // [b, s] for BloomForCausalLM, where the token after predicts, and for
  // BloomForTokenClassification; [b], or [b, labels], for
  // BloomForSequenceClassification.
  at::Tensor labels;
};

struct BloomForQuestionAnsweringInputs : BloomModelInputs {
  at::Tensor start_positions;  // [b] or [b, 1]
  at::Tensor end_positions;
};

// Which of the inputs a class has beside those of all.
struct BloomInputSet {
  bool has_cache = true;
};

// Takes them by the names of forward's arguments. `position_ids` are taken, and
// looked at no further: the model has no use for them.
void TakeBloomInputs(BloomInputSet set, NamedInputs& named,
                     BloomModelInputs& inputs);

struct BloomInputSizes {
  int64_t batch = 0;
  int64_t tokens = 0;
  int64_t cached = 0;
};

// `has_store`: whether the call has a key_value_store.
// Checks shapes, dtypes and ranges, but for the head mask's; `vocab_size` is
// the rows of the embeddings. kInvalidArgument, naming the input.
absl::StatusOr<BloomInputSizes> CheckBloomInputs(const BloomConfig& config,
                                                 int64_t vocab_size,
                                                 const BloomModelInputs& inputs,
                                                 bool has_store);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_BLOOM_BLOOM_INPUTS_H_
