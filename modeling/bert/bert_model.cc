#include "modeling/bert/bert_model.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "modeling/attention_mask.h"
#include "modeling/auto_model.h"
#include "modeling/bert/bert_inputs.h"
#include "modeling/bert/bert_layout.h"
#include "modeling/catch_torch.h"
#include "modeling/head_pruning.h"
#include "modeling/named_inputs.h"
#include "modeling/weight_init.h"

namespace pretrained {

BertLikeModel::BertLikeModel(PretrainedConfig config, const BertConfig& bert,
                             ModelLayout layout, const ModuleOptions& options)
    : PretrainedModel(std::move(config), std::move(layout), options),
      bert_(bert) {
  const ModuleNode& root = this->layout().tree.root;
  embeddings_ = AddChild<BertEmbeddings>(root, "embeddings", options, bert_);
  encoder_ = AddChild<BertEncoder>(root, "encoder", options, bert_);
  if (const ModuleNode* pooler = root.find_child("pooler")) {
    auto holder = AddChild<Container>(root, "pooler", options);
    pooler_dense_ = holder->Add<Linear>(*pooler, "dense", options);
    pooler_activation_ =
        holder->Add<Activation>(*pooler, "activation", options, "tanh");
  }
}

ModelOutput BertModelOutput::ToNamed() const {
  ModelOutput named;
  named.Add("last_hidden_state", last_hidden_state);
  named.Add("pooler_output", pooler_output);
  named.Add("past_key_values", past_key_values);
  named.Add("hidden_states", hidden_states);
  named.Add("attentions", attentions);
  named.Add("cross_attentions", cross_attentions);
  return named;
}

absl::StatusOr<BertEncoderArguments> BertLikeModel::PrepareMasks(
    const BertModelInputs& inputs, const ForwardOptions& options) {
  const at::Tensor& main =
      inputs.input_ids.defined() ? inputs.input_ids : inputs.inputs_embeds;
  const int64_t batch = main.size(0);
  const int64_t length = main.size(1);
  const at::ScalarType type =
      embeddings_->word_embeddings().parameter("weight").scalar_type();
  BertEncoderArguments arguments;
  arguments.past_key_values = inputs.past_key_values;
  arguments.output_attentions =
      options.output_attentions.value_or(bert_.output_attentions);
  arguments.output_hidden_states =
      options.output_hidden_states.value_or(bert_.output_hidden_states);
  arguments.use_cache =
      bert_.is_decoder && options.use_cache.value_or(bert_.use_cache);
  arguments.store = options.key_value_store;

  at::Tensor mask = inputs.attention_mask;
  if (!mask.defined() && bert_.is_decoder) {
    mask = at::ones({batch, length + CachedLength(inputs.past_key_values)},
                    at::dtype(type).device(main.device()));
  }
  if (mask.defined()) {  // An encoder sees all without one.
    absl::StatusOr<at::Tensor> extended =
        ExtendedAttentionMask(mask, {.dtype = type,
                                     .is_decoder = bert_.is_decoder,
                                     .query_length = length});
    if (!extended.ok()) return extended.status();
    arguments.attention_mask = *std::move(extended);
  }

  if (bert_.is_decoder && inputs.encoder_hidden_states.defined()) {
    arguments.encoder_hidden_states = inputs.encoder_hidden_states;
    if (inputs.encoder_attention_mask.defined()) {
      absl::StatusOr<at::Tensor> inverted =
          InvertAttentionMask(inputs.encoder_attention_mask, type);
      if (!inverted.ok()) return inverted.status();
      arguments.encoder_attention_mask = *std::move(inverted);
    }
  }
  absl::StatusOr<std::vector<at::Tensor>> head_mask =
      ExpandHeadMask(inputs.head_mask, bert_.num_hidden_layers, type);
  if (!head_mask.ok()) return head_mask.status();
  arguments.head_mask =
      OfHeadsLeft(*head_mask, bert_.pruned_heads, bert_.num_attention_heads);
  return arguments;
}

absl::StatusOr<BertModelOutput> BertLikeModel::Forward(
    const BertModelInputs& inputs, const ForwardOptions& options) {
  return CatchTorch(class_name(), [&]() -> absl::StatusOr<BertModelOutput> {
    absl::Status status = CheckBertInputs(bert_, inputs);
    if (!status.ok()) return status;
    if (!options.only_last_logits) {  // Generate() looked.
      WarnIfPaddingAndNoAttentionMask(inputs.input_ids, inputs.attention_mask);
    }
    absl::StatusOr<at::Tensor> positions = BertPositions(bert_, inputs);
    if (!positions.ok()) return positions.status();
    absl::StatusOr<BertEncoderArguments> arguments =
        PrepareMasks(inputs, options);
    if (!arguments.ok()) return arguments.status();
    arguments->hidden_states =
        embeddings_
            ->Call({.input_ids = inputs.input_ids,
                    .token_type_ids = inputs.token_type_ids,
                    .position_ids = *std::move(positions),
                    .inputs_embeds = inputs.inputs_embeds,
                    .past_length = CachedLength(inputs.past_key_values)})
            .value;
    BertEncoderResult encoded = encoder_->Call(*std::move(arguments));
    BertModelOutput output;
    static_cast<BaseModelOutput&>(output) = std::move(encoded);
    if (pooler_dense_ != nullptr) {
      output.pooler_output = (*pooler_activation_)(
          (*pooler_dense_)(output.last_hidden_state.select(1, 0)));
    }
    return output;
  });
}

absl::StatusOr<ModelOutput> BertLikeModel::Call(const NamedTensors& inputs,
                                                const ForwardOptions& options) {
  BertModelInputs arguments;
  NamedInputs named(class_name(), inputs);
  TakeBertInputs(BertInputSet::kAll, named, arguments);
  absl::Status status = named.Finish();
  if (!status.ok()) return status;
  absl::StatusOr<BertModelOutput> output = Forward(arguments, options);
  if (!output.ok()) return output.status();
  return output->ToNamed();
}

std::optional<AttentionHeads> BertLikeModel::attention_heads() const {
  const int64_t size = bert_.head_size();
  return AttentionHeads{
      .num_layers = bert_.num_hidden_layers,
      .num_heads = bert_.num_attention_heads,
      .pruned = bert_.pruned_heads,
      .projections = [size](int64_t layer) {
        const std::string path =
            absl::StrCat("encoder.layer.", layer, ".attention.");
        return std::vector<HeadProjection>{
            {path + "self.query", size},
            {path + "self.key", size},
            {path + "self.value", size},
            {path + "output.dense", size, HeadProjection::Side::kInputs}};
      }};
}

void BertLikeModel::InitializeTensor(const TensorToInitialize& target) const {
  InitializeNormal(target, bert_.initializer_range);
}

const ModelClass& BertModel::Class() {
  static const ModelClass* const model_class = new ModelClass(
      MakeModelClass<BertModel, BertConfig>(BertModelLayoutClass()));
  return *model_class;
}

namespace {

const bool kRegistered =
    RegisterModel(&BertModel::Class()) &&
    RegisterForAutoClass(AutoTask::kBase, "bert", "BertModel");

}  // namespace

}  // namespace pretrained
