#include "modeling/question_answering_output.h"

#include "ATen/core/Tensor.h"
#include "modeling/model_output.h"

namespace pretrained {

ModelOutput QuestionAnsweringOutput::ToNamed() const {
  ModelOutput named;
  named.Add("loss", loss);
  named.Add("start_logits", start_logits);
  named.Add("end_logits", end_logits);
  named.Add("hidden_states", hidden_states);
  named.Add("attentions", attentions);
  return named;
}

QuestionAnsweringOutput AnswerOf(const at::Tensor& logits) {
  return {.start_logits = logits.select(-1, 0).contiguous(),
          .end_logits = logits.select(-1, 1).contiguous()};
}

}  // namespace pretrained
