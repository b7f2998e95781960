#include "modeling/bert/bert_head_model.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modeling/bert/bert_model.h"
#include "modeling/catch_torch.h"
#include "modeling/token_embeddings.h"
#include "modeling/weight_init.h"

namespace pretrained {

BertHeadModel::BertHeadModel(PretrainedConfig config, const BertConfig& bert,
                             ModelLayout layout, const ModuleOptions& options)
    : PretrainedModel(std::move(config), std::move(layout), options) {
  const std::string& name = this->layout().base_model_prefix;
  bert_ = std::make_shared<BertLikeModel>(
      this->config(), bert, SubmodelLayout(this->layout(), name), options);
  register_module(name, bert_);
}

void BertHeadModel::InitializeTensor(const TensorToInitialize& target) const {
  InitializeNormal(target, bert_config().initializer_range);
}

absl::Status BertHeadModel::PruneHeads(
    const std::map<int64_t, std::vector<int64_t>>& heads) {
  absl::Status status = bert_->PruneHeads(heads);
  if (bert_->config().IsSet("pruned_heads")) {
    mutable_config().Set("pruned_heads", bert_->config().Get("pruned_heads"));
  }
  return status;
}

absl::Status BertHeadModel::ResizeTokenEmbeddings(
    int64_t num_tokens, std::optional<int64_t> pad_to_multiple_of) {
  absl::Status status =
      bert_->ResizeTokenEmbeddings(num_tokens, pad_to_multiple_of);
  if (!status.ok()) return status;
  const int64_t rows = bert_config().vocab_size;
  mutable_config().Set("vocab_size", rows);
  if (OutputEmbeddingsPath().empty()) return absl::OkStatus();
  // The model below put new embeddings in place of its own alone.
  status = CatchTorch("tying the language model's head", [&]() -> absl::Status {
    TieWeights();
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  const std::string weight = OutputEmbeddingsPath() + ".weight";
  return ResizeOutputRows(
      *this, OutputEmbeddingsPath(), rows,
      [&](const Module& owner, const at::Tensor& tensor) {
        InitializeTensor({.name = weight, .owner = owner, .tensor = tensor});
      });
}

absl::StatusOr<BertModelOutput> BertHeadModel::Encode(
    BertInputSet set, const BertModelInputs& inputs,
    const ForwardOptions& options) {
  absl::Status status = CheckInputSet(set, class_name(), inputs);
  if (!status.ok()) return status;
  if (set == BertInputSet::kAll) return bert_->Forward(inputs, options);
  // The cache would not be returned.
  ForwardOptions without_cache = options;
  without_cache.use_cache = false;
  return bert_->Forward(inputs, without_cache);
}

HeadOutput MakeHeadOutput(at::Tensor logits, BertModelOutput base) {
  return {.logits = std::move(logits),
          .hidden_states = std::move(base.hidden_states),
          .attentions = std::move(base.attentions)};
}

}  // namespace pretrained
