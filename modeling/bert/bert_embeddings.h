#ifndef PRETRAINED_MODELING_BERT_BERT_EMBEDDINGS_H_
#define PRETRAINED_MODELING_BERT_BERT_EMBEDDINGS_H_

#include <cstdint>
#include <memory>

#include "ATen/core/Tensor.h"
#include "c10/core/Device.h"
#include "device_map/module_tree.h"
#include "modeling/bert/bert_config.h"
#include "modeling/layers.h"
#include "modeling/module.h"

namespace pretrained {

struct BertEmbeddingsArguments {
  at::Tensor input_ids;  // [b, s], or undefined where inputs_embeds is not.
  at::Tensor token_type_ids;  // [b, s]; all 0 when undefined.
  at::Tensor position_ids;    // [1 or b, s]; counted up when undefined.
  at::Tensor inputs_embeds;   // [b, s, e]
  int64_t past_length = 0;    // Tokens that are cached already.

  template <typename F>
  void ForEachTensor(F&& visit) {
    for (at::Tensor* tensor :
         {&input_ids, &token_type_ids, &position_ids, &inputs_embeds}) {
      visit(*tensor);
    }
  }
};

// Word, token type and position embeddings, summed and normed: [b, s, e].
class BertEmbeddings
    : public CallableModule<BertEmbeddingsArguments, OneTensor> {
 public:
  BertEmbeddings(const ModuleNode& node, const ModuleOptions& options,
                 const BertConfig& config);

  // position_ids 0, 1, .. and token_type_ids 0, each [1, max positions].
  void ComputeBuffers(at::Device device) override;

  Embedding& word_embeddings() { return *word_embeddings_; }

 protected:
  OneTensor Forward(const BertEmbeddingsArguments& arguments) override;

 private:
  const bool absolute_positions_;
  std::shared_ptr<Embedding> word_embeddings_;
  std::shared_ptr<Embedding> position_embeddings_;
  std::shared_ptr<Embedding> token_type_embeddings_;
  std::shared_ptr<LayerNorm> norm_;
  std::shared_ptr<Dropout> dropout_;
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_BERT_BERT_EMBEDDINGS_H_
