#ifndef PRETRAINED_MODELING_LAST_TOKEN_H_
#define PRETRAINED_MODELING_LAST_TOKEN_H_

#include <cstdint>
#include <optional>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "modeling/model_output.h"

namespace pretrained {

// Which token of a row is its last, by its padding tokens.
enum class LastTokenRule {
  kBeforeFirstPadding,  // The last where none, or the first token, is padding.
  // As many as are no padding, less one, from the first; the last where all are
  // padding (BLOOM).
  kByCount,
};

// What a decoder classifies a sequence by: of each row, the logits at its last
// token.
//
//   logits        [batch, tokens, labels]
//   input_ids     [batch, tokens]; undefined when the caller gave embeddings,
//                 and then padding is not seen
//   pad_token_id  the config's
//   returns       [batch, labels]
//
// kInvalidArgument for several rows without a pad_token_id.
// Matches: transformers 4.34 `GPT2ForSequenceClassification.forward` and its
//     kin, and `BloomForSequenceClassification.forward`.
absl::StatusOr<at::Tensor> LastTokenLogits(
    const at::Tensor& logits, const at::Tensor& input_ids,
    std::optional<int64_t> pad_token_id,
    LastTokenRule rule = LastTokenRule::kBeforeFirstPadding);

// What a head that predicts tokens is to read of `states` [batch, tokens,
// size]: all, or the last token's, [batch, 1, size], as `options` say.
at::Tensor StatesForLogits(const at::Tensor& states,
                           const ForwardOptions& options);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_LAST_TOKEN_H_
