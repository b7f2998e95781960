#include "modeling/bert/bert_head_model.h"

#include <memory>
#include <string>
#include <utility>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modeling/bert/bert_model.h"
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
