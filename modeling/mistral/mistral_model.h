#ifndef PRETRAINED_MODELING_MISTRAL_MISTRAL_MODEL_H_
#define PRETRAINED_MODELING_MISTRAL_MISTRAL_MODEL_H_

#include "modeling/from_pretrained.h"
#include "modeling/llama/llama_like_model.h"
#include "modeling/mistral/mistral_config.h"
#include "modeling/model_layout.h"
#include "modeling/module.h"
#include "modeling/pretrained_config.h"

namespace pretrained {

// Mistral: LLaMA with a sliding window, so that a token sees no further back
// than sliding_window tokens.
//
//   auto model = MistralModel::FromPretrained("Mistral-7B-v0.1",
//                                             {.torch_dtype = "bfloat16"});
//   auto first = (*model)->Forward({.input_ids = ids});
//   first->last_hidden_state;   // [batch, tokens, 4096]
//   auto next = (*model)->Forward(
//       {.input_ids = id, .past_key_values = first->past_key_values});
//
// The window is the peer's: among the tokens of one call a query sees
// sliding_window + 1 keys, its own among them; of the cached ones it sees all,
// and the cache keeps all.
// Matches: transformers 4.34 modeling_mistral.py `MistralModel`.
// Differs: see CheckLlamaInputs(). A sliding_window of null is no window; in
//     4.34 a call of more than one token is TypeError then.
class MistralModel : public LlamaLikeModel, public Loadable<MistralModel> {
 public:
  MistralModel(PretrainedConfig config, const MistralConfig& mistral,
               ModelLayout layout, const ModuleOptions& options);

  static const ModelClass& Class();
};

// With logits for the next token at each one.
//
//   auto output = (*model)->Forward({{.input_ids = ids}, .labels = ids});
//   output->logits;   // [batch, tokens, vocab_size], float32
//   output->loss;     // Of each token's prediction of the next.
//
// Matches: transformers 4.34 `MistralForCausalLM`.
class MistralForCausalLM : public LlamaLikeForCausalLM,
                           public Loadable<MistralForCausalLM> {
 public:
  MistralForCausalLM(PretrainedConfig config, const MistralConfig& mistral,
                     ModelLayout layout, const ModuleOptions& options);

  static const ModelClass& Class();
};

// With logits of a class for each row, from its last token before padding.
//
// kInvalidArgument for several rows without a pad_token_id in the config.
// Matches: transformers 4.34 `MistralForSequenceClassification`.
// Differs: where the config has no problem_type, each call's labels say what it
//     is; in 4.34 the first call's say it for all.
class MistralForSequenceClassification
    : public LlamaLikeForSequenceClassification,
      public Loadable<MistralForSequenceClassification> {
 public:
  MistralForSequenceClassification(PretrainedConfig config,
                                   const MistralConfig& mistral,
                                   ModelLayout layout,
                                   const ModuleOptions& options);

  static const ModelClass& Class();
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_MISTRAL_MISTRAL_MODEL_H_
