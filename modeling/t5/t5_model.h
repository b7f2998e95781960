#ifndef PRETRAINED_MODELING_T5_T5_MODEL_H_
#define PRETRAINED_MODELING_T5_T5_MODEL_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "modeling/from_pretrained.h"
#include "modeling/generation_step.h"
#include "modeling/layers.h"
#include "modeling/model_layout.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/pretrained_config.h"
#include "modeling/seq2seq_output.h"
#include "modeling/t5/t5_config.h"
#include "modeling/t5/t5_inputs.h"
#include "modeling/t5/t5_pretrained_model.h"

namespace pretrained {

// T5 without a head: an encoder and a decoder. v1.0 and the gated v1.1, T0 and
// FLAN-T5, as the config says.
//
//   auto model = T5Model::FromPretrained("t5-small");
//   auto output = (*model)->Forward(
//       {.input_ids = ids, .decoder_input_ids = *(*model)->ShiftRight(ids)});
//   output->last_hidden_state;   // [batch, decoder tokens, 512]
//
// Threads: as PretrainedModel.
// Matches: transformers 4.34 modeling_t5.py `T5Model`.
// Differs: a mask that fits only by broadcasting over keys is refused.
class T5Model : public T5EncoderDecoder, public Loadable<T5Model> {
 public:
  T5Model(PretrainedConfig config, const T5Config& t5, ModelLayout layout,
          const ModuleOptions& options);

  static const ModelClass& Class();

  absl::StatusOr<Seq2SeqOutput> Forward(const T5Inputs& inputs,
                                        const ForwardOptions& options = {});

  absl::StatusOr<ModelOutput> Call(const NamedTensors& inputs,
                                   const ForwardOptions& options = {}) override;
};

// T5 that predicts tokens.
//
//   auto model = T5ForConditionalGeneration::FromPretrained("t5-small");
//   auto output = (*model)->Forward({.input_ids = ids, .labels = labels});
//   output->loss;                // and output->logits
//
// The next token of a text that began: give `encoder_outputs` and
// `past_key_values` of the call before, and the last token alone.
// Matches: transformers 4.34 modeling_t5.py `T5ForConditionalGeneration`.
// Differs: as T5Model.
class T5ForConditionalGeneration : public T5EncoderDecoder,
                                   public Loadable<T5ForConditionalGeneration> {
 public:
  T5ForConditionalGeneration(PretrainedConfig config, const T5Config& t5,
                             ModelLayout layout, const ModuleOptions& options);

  static const ModelClass& Class();

  // Without decoder_input_ids and decoder_inputs_embeds the decoder reads the
  // labels, shifted. last_hidden_state stays undefined.
  absl::StatusOr<Seq2SeqOutput> Forward(const T5Inputs& inputs,
                                        const ForwardOptions& options = {});

  absl::StatusOr<ModelOutput> Call(const NamedTensors& inputs,
                                   const ForwardOptions& options = {}) override;

  std::string OutputEmbeddingsPath() const override { return "lm_head"; }

  std::vector<std::string> GenerationInputs() const override {
    return {"inputs_embeds", "decoder_attention_mask", "head_mask",
            "decoder_head_mask", "cross_attn_head_mask"};
  }
  absl::StatusOr<NamedTensors> PrepareInputsForGeneration(
      const GenerationStep& step) const override;
  absl::StatusOr<BaseModelOutput> EncodeForGeneration(
      const NamedTensors& inputs, const ForwardOptions& options) override;

 private:
  std::shared_ptr<Linear> lm_head_;
};

// T5's encoder alone.
// Matches: transformers 4.34 modeling_t5.py `T5EncoderModel`.
// Differs: attentions are returned also where the config says is_decoder; 4.34
//     fails there.
class T5EncoderModel : public T5PreTrainedModel,
                       public Loadable<T5EncoderModel> {
 public:
  T5EncoderModel(PretrainedConfig config, const T5Config& t5,
                 ModelLayout layout, const ModuleOptions& options);

  static const ModelClass& Class();

  absl::StatusOr<BaseModelOutput> Forward(const T5EncoderInputs& inputs,
                                          const ForwardOptions& options = {});

  absl::StatusOr<ModelOutput> Call(const NamedTensors& inputs,
                                   const ForwardOptions& options = {}) override;
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_T5_T5_MODEL_H_
