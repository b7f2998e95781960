#ifndef PRETRAINED_MODELING_QUESTION_ANSWERING_OUTPUT_H_
#define PRETRAINED_MODELING_QUESTION_ANSWERING_OUTPUT_H_

#include <vector>

#include "ATen/core/Tensor.h"
#include "modeling/model_output.h"

namespace pretrained {

// What a model that finds where in a text an answer starts and ends returns,
// under the names of the peer's QuestionAnsweringModelOutput. What was not
// asked for is empty.
struct QuestionAnsweringOutput {
  at::Tensor loss;          // A scalar; undefined without both positions.
  at::Tensor start_logits;  // [batch, tokens]
  at::Tensor end_logits;    // [batch, tokens]
  std::vector<at::Tensor> hidden_states;  // layers + 1
  std::vector<at::Tensor> attentions;     // layers

  ModelOutput ToNamed() const;
};

// Start and end from a head's `logits` [batch, tokens, 2], without a loss.
QuestionAnsweringOutput AnswerOf(const at::Tensor& logits);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_QUESTION_ANSWERING_OUTPUT_H_
