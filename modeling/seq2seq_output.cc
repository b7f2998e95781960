#include "modeling/seq2seq_output.h"

#include "modeling/model_output.h"

namespace pretrained {

ModelOutput Seq2SeqOutput::ToNamed() const {
  ModelOutput named;
  named.Add("loss", loss);
  named.Add("logits", logits);
  named.Add("last_hidden_state", last_hidden_state);
  named.Add("past_key_values", past_key_values);
  named.Add("decoder_hidden_states", decoder_hidden_states);
  named.Add("decoder_attentions", decoder_attentions);
  named.Add("cross_attentions", cross_attentions);
  named.Add("encoder_last_hidden_state", encoder_last_hidden_state);
  named.Add("encoder_hidden_states", encoder_hidden_states);
  named.Add("encoder_attentions", encoder_attentions);
  return named;
}

}  // namespace pretrained
