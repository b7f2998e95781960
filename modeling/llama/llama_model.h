#ifndef PRETRAINED_MODELING_LLAMA_LLAMA_MODEL_H_
#define PRETRAINED_MODELING_LLAMA_LLAMA_MODEL_H_

#include "modeling/from_pretrained.h"
#include "modeling/llama/llama_config.h"
#include "modeling/llama/llama_inputs.h"
#include "modeling/llama/llama_like_model.h"
#include "modeling/model_layout.h"
#include "modeling/module.h"
#include "modeling/pretrained_config.h"

namespace pretrained {

// LLaMA: embeddings, layers of attention and feed-forward, a norm.
//
//   auto model = LlamaModel::FromPretrained("llama-7b",
//                                           {.torch_dtype = "float16"});
//   auto first = (*model)->Forward({.input_ids = ids});
//   first->last_hidden_state;   // [batch, tokens, 4096]
//   auto next = (*model)->Forward(
//       {.input_ids = id, .past_key_values = first->past_key_values});
//
// Matches: transformers 4.34 modeling_llama.py `LlamaModel`.
// Differs: see CheckLlamaInputs(). With pretraining_tp, slices of a product are
//     not computed apart: the same but for rounding.
class LlamaModel : public LlamaLikeModel, public Loadable<LlamaModel> {
 public:
  LlamaModel(PretrainedConfig config, const LlamaConfig& llama,
             ModelLayout layout, const ModuleOptions& options);

  static const ModelClass& Class();
};

// With logits for the next token at each one.
//
//   auto output = (*model)->Forward({{.input_ids = ids}, .labels = ids});
//   output->logits;   // [batch, tokens, vocab_size], float32
//   output->loss;     // Of each token's prediction of the next.
//
// Matches: transformers 4.34 `LlamaForCausalLM`: with pretraining_tp above 1,
//     logits beyond a multiple of it are left out.
class LlamaForCausalLM : public LlamaLikeForCausalLM,
                         public Loadable<LlamaForCausalLM> {
 public:
  LlamaForCausalLM(PretrainedConfig config, const LlamaConfig& llama,
                   ModelLayout layout, const ModuleOptions& options);

  static const ModelClass& Class();
};

// With logits of a class for each row, from its last token before padding.
//
// kInvalidArgument for several rows without a pad_token_id in the config.
// Matches: transformers 4.34 `LlamaForSequenceClassification`.
// Differs: where the config has no problem_type, each call's labels say what it
//     is; in 4.34 the first call's say it for all.
class LlamaForSequenceClassification
    : public LlamaLikeForSequenceClassification,
      public Loadable<LlamaForSequenceClassification> {
 public:
  LlamaForSequenceClassification(PretrainedConfig config,
                                 const LlamaConfig& llama, ModelLayout layout,
                                 const ModuleOptions& options);

  static const ModelClass& Class();
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_LLAMA_LLAMA_MODEL_H_
