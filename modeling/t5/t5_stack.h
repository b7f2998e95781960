#ifndef PRETRAINED_MODELING_T5_T5_STACK_H_
#define PRETRAINED_MODELING_T5_T5_STACK_H_

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "device_map/module_tree.h"
#include "modeling/attention_heads.h"
#include "modeling/layers.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/t5/t5_block.h"
#include "modeling/t5/t5_config.h"

namespace pretrained {

// Batch b, queries q, hidden size e; what is not given is undefined. Masks are
// as attention_mask.h makes them.
struct T5StackArguments {
  at::Tensor input_ids;      // [b, q]; or inputs_embeds instead.
  at::Tensor inputs_embeds;  // [b, q, e]
  at::Tensor attention_mask;
  at::Tensor encoder_hidden_states;  // A decoder's: [b, keys, e].
  at::Tensor encoder_attention_mask;
  std::vector<at::Tensor> head_mask;             // One entry a layer.
  std::vector<at::Tensor> cross_attn_head_mask;  // Likewise.
  KeyValueCache past_key_values;                 // Empty, or one a layer.
  KeyValueStore* store = nullptr;
  bool output_attentions = false;
  bool output_hidden_states = false;
  bool use_cache = false;

  template <typename F>
  void ForEachTensor(F&& visit) {
    for (at::Tensor* tensor :
         {&input_ids, &inputs_embeds, &attention_mask, &encoder_hidden_states,
          &encoder_attention_mask}) {
      visit(*tensor);
    }
    for (auto* masks : {&head_mask, &cross_attn_head_mask}) {
      for (at::Tensor& tensor : *masks) visit(tensor);
    }
    for (LayerCache& layer : past_key_values) {
      for (at::Tensor& tensor : layer) visit(tensor);
    }
  }
};

struct T5StackResult {
  BaseModelOutput output;

  template <typename F>
  void ForEachTensor(F&& visit) {
    visit(output.last_hidden_state);
    for (LayerCache& layer : output.past_key_values) {
      for (at::Tensor& tensor : layer) visit(tensor);
    }
    for (auto* tensors : {&output.hidden_states, &output.attentions,
                          &output.cross_attentions}) {
      for (at::Tensor& tensor : *tensors) visit(tensor);
    }
  }
};

// The inputs of a stack before its masks were brought into form.
struct T5StackInputs {
  at::Tensor input_ids;
  at::Tensor inputs_embeds;
  at::Tensor attention_mask;  // [b, keys] or [b, q, keys].
  at::Tensor head_mask;       // [heads] or [layers, heads].
  at::Tensor cross_attn_head_mask;
  at::Tensor encoder_hidden_states;
  at::Tensor encoder_attention_mask;  // [b, keys] or [b, q, keys].
  KeyValueCache past_key_values;
};

// An encoder, or a decoder: embeddings, blocks, and a norm.
// Matches: transformers 4.34 modeling_t5.py `T5Stack`.
class T5Stack : public CallableModule<T5StackArguments, T5StackResult> {
 public:
  // `embed_tokens` is the very module that the model and its other stack have.
  T5Stack(const ModuleNode& node, const ModuleOptions& options,
          const T5Config& config, std::shared_ptr<Embedding> embed_tokens,
          bool is_decoder);

  // Arguments that want no attentions, hidden states or cache, from inputs that
  // fit this stack.
  absl::StatusOr<T5StackArguments> Prepare(const T5StackInputs& inputs) const;

  // The layers of self-attention that lost heads, and which.
  void SetPrunedHeads(PrunedHeads pruned) { pruned_heads_ = std::move(pruned); }

 protected:
  T5StackResult Forward(const T5StackArguments& arguments) override;

 private:
  const bool is_decoder_;
  const int64_t num_heads_;  // Before any was pruned.
  PrunedHeads pruned_heads_;
  std::shared_ptr<Embedding> embed_tokens_;
  std::vector<std::shared_ptr<T5Block>> blocks_;
  std::shared_ptr<RmsNorm> final_layer_norm_;
  std::shared_ptr<Dropout> dropout_;
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_T5_T5_STACK_H_
