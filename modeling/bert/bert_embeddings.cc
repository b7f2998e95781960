#include "modeling/bert/bert_embeddings.h"

#include <cstdint>
#include <memory>
#include <optional>

#include "ATen/ATen.h"
#include "device_map/module_tree.h"
#include "modeling/bert/bert_config.h"
#include "modeling/layers.h"
#include "modeling/module.h"

namespace pretrained {

BertEmbeddings::BertEmbeddings(const ModuleNode& node,
                               const ModuleOptions& options,
                               const BertConfig& config)
    : CallableModule(node, options),
      absolute_positions_(config.position_embedding_type == "absolute"),
      word_embeddings_(AddChild<Embedding>(node, "word_embeddings", options,
                                           config.pad_token_id)),
      position_embeddings_(AddChild<Embedding>(
          node, "position_embeddings", options,
          config.positions_pass_over_padding ? config.pad_token_id
                                             : std::nullopt)),
      token_type_embeddings_(
          AddChild<Embedding>(node, "token_type_embeddings", options)),
      norm_(AddChild<LayerNorm>(node, "LayerNorm", options,
                                config.layer_norm_eps)),
      dropout_(AddChild<Dropout>(node, "dropout", options,
                                 config.hidden_dropout_prob)) {}

void BertEmbeddings::ComputeBuffers(at::Device device) {
  const at::TensorOptions index = at::dtype(at::kLong).device(device);
  const int64_t positions = buffer("position_ids").size(1);
  SetOwnTensor("position_ids", at::arange(positions, index).unsqueeze(0));
  SetOwnTensor("token_type_ids", at::zeros({1, positions}, index));
}

OneTensor BertEmbeddings::Forward(const BertEmbeddingsArguments& arguments) {
  at::Tensor embeddings = arguments.inputs_embeds.defined()
                              ? arguments.inputs_embeds
                              : (*word_embeddings_)(arguments.input_ids);
  const int64_t length = embeddings.size(1);
  at::Tensor token_type_ids = arguments.token_type_ids;
  if (!token_type_ids.defined()) {
    token_type_ids = buffer("token_type_ids")
                         .narrow(1, 0, length)
                         .expand({embeddings.size(0), length});
  }
  embeddings = embeddings + (*token_type_embeddings_)(token_type_ids);
  if (absolute_positions_) {
    at::Tensor position_ids = arguments.position_ids;
    if (!position_ids.defined()) {
      position_ids =
          buffer("position_ids").narrow(1, arguments.past_length, length);
    }
    embeddings = embeddings + (*position_embeddings_)(position_ids);
  }
  return {(*dropout_)((*norm_)(embeddings))};
}

}  // namespace pretrained
