#include "modeling/bert/bert_head_model.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "ATen/core/grad_mode.h"
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
  bert_ = std::make_shared<BertModel>(
      this->config(), bert, SubmodelLayout(this->layout(), "bert"), options);
  register_module("bert", bert_);
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
  return CatchTorch("resizing the language model's head", [&] {
    // BertModel put new embeddings in place of its own alone.
    TieWeights();
    return ResizeOutput(rows);
  });
}

absl::Status BertHeadModel::ResizeOutput(int64_t rows) {
  at::NoGradGuard no_grad;
  const std::string weight = OutputEmbeddingsPath() + ".weight";
  absl::StatusOr<int64_t> resized = ResizeEmbeddingRows(
      *this, weight, rows, std::nullopt,
      [&](const Module& owner, const at::Tensor& tensor) {
        InitializeTensor({.name = weight, .owner = owner, .tensor = tensor});
      });
  if (!resized.ok()) return resized.status();
  const std::string bias = OutputEmbeddingsPath() + ".bias";
  for (const NamedSlot& slot : TensorSlots()) {
    if (slot.name != bias || slot.tensor.size(0) == rows) continue;
    const int64_t kept = std::min(rows, slot.tensor.size(0));
    const at::Tensor longer = slot.tensor.new_zeros({rows});
    longer.narrow(0, 0, kept).copy_(slot.tensor.narrow(0, 0, kept));
    return ReplaceTensor(bias, longer);
  }
  return absl::OkStatus();
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
