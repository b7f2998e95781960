#ifndef PRETRAINED_MODELING_BERT_BERT_HEAD_MODEL_H_
#define PRETRAINED_MODELING_BERT_BERT_HEAD_MODEL_H_

#include <memory>
#include <string>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modeling/bert/bert_config.h"
#include "modeling/bert/bert_inputs.h"
#include "modeling/bert/bert_model.h"
#include "modeling/model_layout.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/pretrained_config.h"
#include "modeling/pretrained_model.h"

namespace pretrained {

// BertModel, or that of its kin, with something on top: what all classes with a
// head have in common.
class BertHeadModel : public PretrainedModel {
 public:
  // As BertLikeModel's.
  void InitializeTensor(const TensorToInitialize& target) const override;

  std::string InputEmbeddingsPath() const override {
    return layout().base_model_prefix + ".embeddings.word_embeddings";
  }

  const BertConfig& bert_config() const { return bert_->bert_config(); }

 protected:
  BertHeadModel(PretrainedConfig config, const BertConfig& bert,
                ModelLayout layout, const ModuleOptions& options);

  // The results of the model below, for a class whose forward has the inputs of
  // `set`.
  absl::StatusOr<BertModelOutput> Encode(BertInputSet set,
                                         const BertModelInputs& inputs,
                                         const ForwardOptions& options);

 private:
  std::shared_ptr<BertLikeModel> bert_;
};

// A head's output: `logits`, and of `base` what a head that keeps no cache
// passes on.
HeadOutput MakeHeadOutput(at::Tensor logits, BertModelOutput base);

// The inputs by name, with `labels`, of a class whose forward has those of
// `set`; then `forward`, and its results by name.
template <typename Model>
absl::StatusOr<ModelOutput> CallBertHead(Model& model, BertInputSet set,
                                         const NamedTensors& inputs,
                                         const ForwardOptions& options) {
  BertHeadInputs arguments;
  NamedInputs named(model.class_name(), inputs);
  TakeBertInputs(set, named, arguments);
  named.Take("labels", arguments.labels);
  absl::Status status = named.Finish();
  if (!status.ok()) return status;
  absl::StatusOr<HeadOutput> output = model.Forward(arguments, options);
  if (!output.ok()) return output.status();
  return output->ToNamed();
}

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_BERT_BERT_HEAD_MODEL_H_
