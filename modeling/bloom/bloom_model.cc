#include "modeling/bloom/bloom_model.h"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "device_map/module_tree.h"
#include "modeling/alibi.h"
#include "modeling/attention_mask.h"
#include "modeling/auto_model.h"
#include "modeling/bloom/bloom_layout.h"
#include "modeling/catch_torch.h"
#include "modeling/gradient_checkpointing.h"
#include "modeling/head_pruning.h"
#include "modeling/key_value_store.h"
#include "modeling/named_inputs.h"
#include "modeling/weight_init.h"

namespace pretrained {
namespace {

// What is added to scores: ALiBi, and instead of it the lowest value where a
// query may not see a key. [1 or batch, heads, 1 or tokens, keys] of float32,
// or of float64 for such a model.
at::Tensor Bias(const at::Tensor& attention_mask, const BloomInputSizes& sizes,
                const BloomConfig& config, const at::Tensor& states) {
  const int64_t keys = sizes.cached + sizes.tokens;
  const at::Device device = states.device();
  // Without padding all rows are alike.
  const at::Tensor mask =
      attention_mask.defined()
          ? attention_mask.to(device)
          : at::ones({1, keys}, at::dtype(at::kFloat).device(device));
  at::Tensor bias = AlibiBias(mask, config.n_head);
  if (states.scalar_type() == at::kDouble) bias = bias.to(at::kDouble);
  at::Tensor hidden;
  if (sizes.tokens > 1) {
    hidden = at::ones({sizes.tokens, keys}, at::dtype(at::kBool).device(device))
                 .triu(sizes.cached + 1);
  }
  if (attention_mask.defined()) {
    const at::Tensor padding = mask.eq(0).unsqueeze(1).unsqueeze(1);
    hidden = hidden.defined() ? hidden.logical_or(padding) : padding;
  }
  if (!hidden.defined()) return bias;
  return bias.masked_fill(hidden, std::numeric_limits<float>::lowest());
}

// Between the cache's form in the model, [batch, heads, tokens, head size], and
// the peer's: key [batch heads, head size, tokens], value [batch heads, tokens,
// head size].
LayerCache FromPeer(const LayerCache& cache, int64_t batch) {
  if (cache.empty()) return {};
  return {cache[0].unflatten(0, {batch, -1}).transpose(2, 3),
          cache[1].unflatten(0, {batch, -1})};
}

LayerCache ToPeer(const LayerCache& cache) {
  return {cache[0].transpose(2, 3).flatten(0, 1).contiguous(),
          cache[1].flatten(0, 1).contiguous()};
}

}  // namespace

BloomModel::BloomModel(PretrainedConfig config, const BloomConfig& bloom,
                       ModelLayout layout, const ModuleOptions& options)
    : PretrainedModel(std::move(config), std::move(layout), options),
      bloom_(bloom) {
  const ModuleNode& root = this->layout().tree.root;
  const double epsilon = bloom_.layer_norm_epsilon;
  word_embeddings_ = AddChild<Embedding>(root, "word_embeddings", options);
  word_embeddings_norm_ =
      AddChild<LayerNorm>(root, "word_embeddings_layernorm", options, epsilon);
  auto holder = AddChild<Container>(root, "h", options);
  const ModuleNode& blocks = root.child("h");
  for (int64_t i = 0; i < bloom_.n_layer; ++i) {
    blocks_.push_back(
        holder->Add<BloomBlock>(blocks, absl::StrCat(i), options, bloom_));
  }
  final_norm_ = AddChild<LayerNorm>(root, "ln_f", options, epsilon);
}

BloomBlockArguments BloomModel::Prepare(const BloomModelInputs& inputs,
                                        const BloomInputSizes& sizes,
                                        const ForwardOptions& options) {
  BloomBlockArguments shared;
  shared.output_attentions =
      options.output_attentions.value_or(bloom_.output_attentions);
  shared.use_cache =
      MayUseCache(options.use_cache.value_or(bloom_.use_cache), blocks_);
  shared.hidden_states = (*word_embeddings_norm_)(
      inputs.input_ids.defined() ? (*word_embeddings_)(inputs.input_ids)
                                 : inputs.inputs_embeds);
  shared.bias =
      Bias(inputs.attention_mask, sizes, bloom_, shared.hidden_states);
  return shared;
}

absl::StatusOr<BaseModelOutput> BloomModel::Forward(
    const BloomModelInputs& inputs, const ForwardOptions& options) {
  return CatchTorch(class_name(), [&]() -> absl::StatusOr<BaseModelOutput> {
    // What stands in a store has the form of the model's own.
    const bool has_store = options.key_value_store != nullptr;
    absl::StatusOr<BloomInputSizes> sizes =
        CheckBloomInputs(bloom_, word_embeddings_->parameter("weight").size(0),
                         inputs, has_store);
    if (!sizes.ok()) return sizes.status();
    if (!options.only_last_logits) {  // Generate() looked.
      WarnIfPaddingAndNoAttentionMask(inputs.input_ids, inputs.attention_mask);
    }
    BloomBlockArguments arguments = Prepare(inputs, *sizes, options);
    absl::StatusOr<std::vector<at::Tensor>> head_mask = ExpandHeadMask(
        inputs.head_mask, bloom_.n_layer, arguments.hidden_states.scalar_type(),
        /*is_attention_chunked=*/false, bloom_.n_head);
    if (!head_mask.ok()) return head_mask.status();
    const bool keep_states =
        options.output_hidden_states.value_or(bloom_.output_hidden_states);
    const std::vector<at::Tensor> masks =
        OfHeadsLeft(*head_mask, bloom_.pruned_heads, bloom_.n_head);
    const at::Tensor bias = std::move(arguments.bias);
    BaseModelOutput output;
    for (size_t i = 0; i < blocks_.size(); ++i) {
      if (keep_states) output.hidden_states.push_back(arguments.hidden_states);
      arguments.head_mask = masks[i];
      // Slopes stay with their heads.
      arguments.bias = OfHeadsLeft(bias, bloom_.pruned_heads, i, bloom_.n_head);
      if (!inputs.past_key_values.empty()) {
        const LayerCache& past = inputs.past_key_values[i];
        arguments.past = has_store ? past : FromPeer(past, sizes->batch);
      }
      if (arguments.use_cache) {
        arguments.store = StoreOfLayer(options.key_value_store, i);
      }
      BloomBlockResult result = blocks_[i]->Call(arguments);
      arguments.hidden_states = std::move(result.hidden_states);
      if (arguments.output_attentions) {
        output.attentions.push_back(std::move(result.attention));
      }
      if (arguments.use_cache) {
        output.past_key_values.push_back(has_store ? std::move(result.present)
                                                   : ToPeer(result.present));
      }
    }
    output.last_hidden_state = (*final_norm_)(arguments.hidden_states);
    if (keep_states) output.hidden_states.push_back(output.last_hidden_state);
    return output;
  });
}

absl::StatusOr<ModelOutput> BloomModel::Call(const NamedTensors& inputs,
                                             const ForwardOptions& options) {
  BloomModelInputs arguments;
  NamedInputs named(class_name(), inputs);
  TakeBloomInputs({}, named, arguments);
  absl::Status status = named.Finish();
  if (!status.ok()) return status;
  absl::StatusOr<BaseModelOutput> output = Forward(arguments, options);
  if (!output.ok()) return output.status();
  return output->ToNamed();
}

std::optional<AttentionHeads> BloomModel::attention_heads() const {
  const int64_t size = bloom_.head_size();
  return AttentionHeads{
      .num_layers = bloom_.n_layer,
      .num_heads = bloom_.n_head,
      .pruned = bloom_.pruned_heads,
      .projections = [size](int64_t layer) {
        const std::string path = absl::StrCat("h.", layer, ".self_attention.");
        // Of each head in turn, its query, its key, its value.
        return std::vector<HeadProjection>{
            {path + "query_key_value", 3 * size},
            {path + "dense", size, HeadProjection::Side::kInputs}};
      }};
}

void BloomModel::InitializeTensor(const TensorToInitialize& target) const {
  InitializeNormal(target, bloom_.initializer_range);
}

const ModelClass& BloomModel::Class() {
  static const ModelClass* const model_class = new ModelClass(
      MakeModelClass<BloomModel, BloomConfig>(BloomModelLayoutClass()));
  return *model_class;
}

namespace {

[[maybe_unused]] const bool kRegistered =
    RegisterModel(&BloomModel::Class()) &&
    RegisterForAutoClass(AutoTask::kBase, "bloom", "BloomModel");

}  // namespace

}  // namespace pretrained
