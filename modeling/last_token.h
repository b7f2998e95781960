#ifndef PRETRAINED_MODELING_LAST_TOKEN_H_
#define PRETRAINED_MODELING_LAST_TOKEN_H_

#include <cstdint>
#include <optional>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"

namespace pretrained {

// What a decoder classifies a sequence by: of each row, the logits at the last
// token before the first padding one; at the last token where there is none.
//
//   logits        [batch, tokens, labels]
//   input_ids     [batch, tokens]; undefined when the caller gave embeddings,
//                 and then padding is not seen
//   pad_token_id  the config's
//   returns       [batch, labels]
//
// kInvalidArgument for several rows without a pad_token_id.
// Matches: transformers 4.34 `GPT2ForSequenceClassification.forward` and its
//     kin.
absl::StatusOr<at::Tensor> LastTokenLogits(const at::Tensor& logits,
                                           const at::Tensor& input_ids,
                                           std::optional<int64_t> pad_token_id);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_LAST_TOKEN_H_
