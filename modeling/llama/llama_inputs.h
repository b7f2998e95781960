#ifndef PRETRAINED_MODELING_LLAMA_LLAMA_INPUTS_H_
#define PRETRAINED_MODELING_LLAMA_LLAMA_INPUTS_H_

#include <cstdint>
#include <string>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "modeling/llama/llama_config.h"
#include "modeling/model_output.h"

namespace pretrained {

// What forward takes; undefined where not given. Batch b, new tokens s, cached
// tokens p, hidden size e.
struct LlamaModelInputs {
  at::Tensor input_ids;       // [b, s]; or
  at::Tensor inputs_embeds;   // [b, s, e]
  at::Tensor attention_mask;  // [b, p + s]; 1 attends, all else does not.
  at::Tensor position_ids;    // [1 or b, s], or [s]; below p + s.
  // Key and value of each layer, [b, key value heads, p, head size].
  KeyValueCache past_key_values;
};

struct LlamaHeadInputs : LlamaModelInputs {
  // [b, s] for LlamaForCausalLM, where the token after predicts; [b], or [b,
  // labels], for LlamaForSequenceClassification.
  at::Tensor labels;
};

// Takes them by the names of forward's arguments; kInvalidArgument for a name
// that `class_name` does not have.
absl::StatusOr<LlamaModelInputs> LlamaInputsByName(absl::string_view class_name,
                                                   const NamedTensors& inputs);
absl::StatusOr<LlamaHeadInputs> LlamaHeadInputsByName(
    absl::string_view class_name, const NamedTensors& inputs);

// [b, s] of the inputs, once they are checked.
struct LlamaInputSizes {
  int64_t batch = 0;
  int64_t tokens = 0;
  int64_t cached = 0;
};

// Checks shapes, dtypes and ranges; `vocab_size` is the rows of the embeddings.
// kInvalidArgument, naming the input.
// Differs: refuses a position below 0, which counts from the end in 4.34, and a
//     mask of one column or row for many, which 4.34 takes in some cases.
absl::StatusOr<LlamaInputSizes> CheckLlamaInputs(
    const LlamaConfig& config, int64_t vocab_size,
    const LlamaModelInputs& inputs);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_LLAMA_LLAMA_INPUTS_H_
