#ifndef PRETRAINED_MODELING_CHOICES_H_
#define PRETRAINED_MODELING_CHOICES_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace pretrained {

struct ChoiceSizes {
  int64_t batch = 0;
  int64_t choices = 0;
};

// What models that choose among several sequences (multiple choice) are given
// has one dimension more than what the model below takes, after the batch b.
// Takes that away: each tensor [b, choices, ..] becomes [b choices, ..].
//
//   input_ids      [b, choices, s], or undefined where inputs_embeds is not
//   inputs_embeds  [b, choices, s, hidden_size]
//   others         by name, each [b, choices, s]; one of two dimensions has no
//                  choices, and stays as it is, as does one that is undefined
//
// kInvalidArgument, naming the input and its shape, for any other one, or where
// not just one of ids and embeddings is given. They may have changed then.
// Matches: the first lines of transformers 4.34 `BertForMultipleChoice.forward`
//     and its kin.
absl::StatusOr<ChoiceSizes> MergeChoices(
    at::Tensor& input_ids, at::Tensor& inputs_embeds, int64_t hidden_size,
    const std::vector<std::pair<absl::string_view, at::Tensor*>>& others);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_CHOICES_H_
