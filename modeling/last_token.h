#ifndef PRETRAINED_MODELING_LAST_TOKEN_H_
#define PRETRAINED_MODELING_LAST_TOKEN_H_

#include <cstdint>
#include <optional>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "modeling/model_output.h"

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

// What a head that predicts tokens is to read of `states` [batch, tokens,
// size]: all, or the last token's, [batch, 1, size], as `options` say.
at::Tensor StatesForLogits(const at::Tensor& states,
                           const ForwardOptions& options);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_LAST_TOKEN_H_
