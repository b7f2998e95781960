#include "modeling/opt/opt_model.h"

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "modeling/attention_mask.h"
#include "modeling/auto_model.h"
#include "modeling/catch_torch.h"
#include "modeling/causal_mask.h"
#include "modeling/head_pruning.h"
#include "modeling/last_token.h"
#include "modeling/losses.h"
#include "modeling/named_inputs.h"
#include "modeling/opt/opt_layout.h"
#include "modeling/weight_init.h"

namespace pretrained {
namespace {

// Puts in `arguments` what keeps queries from keys: a bias, or is_causal, or
// nothing where each query may see every key. `type` is that of the embeddings.
absl::Status SetMask(const at::Tensor& mask, const OPTInputFacts& facts,
                     at::ScalarType type, OPTDecoderArguments& arguments) {
  at::Tensor attends;
  if (mask.defined()) {
    attends = mask.to(facts.position_rows.device(), type).eq(1);
    // Looking at it would make another device wait.
    if (attends.is_cpu() && attends.all().item().toBool()) {
      attends = at::Tensor();
    }
  }
  if (!attends.defined() && facts.cached == 0) {
    arguments.is_causal = facts.tokens > 1;
    return absl::OkStatus();
  }
  // Scores are added up in float32, where the lowest value of a half dtype
  // would not drown them.
  const bool half = type == at::kHalf || type == at::kBFloat16;
  absl::StatusOr<at::Tensor> bias =
      CausalBias(attends, {.query_length = facts.tokens,
                           .past_length = facts.cached,
                           .dtype = half ? at::kFloat : type,
                           .device = facts.position_rows.device()});
  if (!bias.ok()) return bias.status();
  arguments.bias = *std::move(bias);
  if (arguments.bias.defined()) {
    // The peer lets no score be below the lowest value: where a query sees
    // padding alone, all keys are alike.
    arguments.bias =
        arguments.bias.clamp_min(std::numeric_limits<float>::lowest());
  }
  return absl::OkStatus();
}

}  // namespace

OPTModel::OPTModel(PretrainedConfig config, const OPTConfig& opt,
                   ModelLayout layout, const ModuleOptions& options)
    : PretrainedModel(std::move(config), std::move(layout), options),
      opt_(opt) {
  decoder_ =
      AddChild<OPTDecoder>(this->layout().tree.root, "decoder", options, opt_);
}

absl::StatusOr<OPTDecoderArguments> OPTModel::Prepare(
    const OPTModelInputs& inputs, OPTInputFacts facts,
    const ForwardOptions& options) const {
  const at::ScalarType type =
      inputs.inputs_embeds.defined()
          ? inputs.inputs_embeds.scalar_type()
          : decoder_->embed_tokens().parameter("weight").scalar_type();
  OPTDecoderArguments arguments{
      .input_ids = inputs.input_ids,
      .inputs_embeds = inputs.inputs_embeds,
      .position_rows = facts.position_rows,
      .past = inputs.past_key_values,
      .store = options.key_value_store,
      .output_attentions =
          options.output_attentions.value_or(opt_.output_attentions),
      .output_hidden_states =
          options.output_hidden_states.value_or(opt_.output_hidden_states),
      .use_cache = options.use_cache.value_or(opt_.use_cache)};
  absl::Status status = SetMask(inputs.attention_mask, facts, type, arguments);
  if (!status.ok()) return status;
  if (inputs.head_mask.defined()) {
    absl::StatusOr<std::vector<at::Tensor>> masks =
        ExpandHeadMask(inputs.head_mask, opt_.num_hidden_layers, type);
    if (!masks.ok()) return masks.status();
    arguments.head_mask =
        OfHeadsLeft(*masks, opt_.pruned_heads, opt_.num_attention_heads);
  }
  return arguments;
}

absl::StatusOr<BaseModelOutput> OPTModel::Forward(
    const OPTModelInputs& inputs, const ForwardOptions& options) {
  return CatchTorch(class_name(), [&]() -> absl::StatusOr<BaseModelOutput> {
    absl::StatusOr<OPTInputFacts> facts = CheckOPTInputs(
        opt_, decoder_->embed_tokens().parameter("weight").size(0), inputs);
    if (!facts.ok()) return facts.status();
    if (!options.only_last_logits) {  // Generate() looked.
      WarnIfPaddingAndNoAttentionMask(inputs.input_ids, inputs.attention_mask);
    }
    absl::StatusOr<OPTDecoderArguments> arguments =
        Prepare(inputs, *std::move(facts), options);
    if (!arguments.ok()) return arguments.status();
    return decoder_->Call(*std::move(arguments)).output;
  });
}

absl::StatusOr<ModelOutput> OPTModel::Call(const NamedTensors& inputs,
                                           const ForwardOptions& options) {
  OPTModelInputs arguments;
  NamedInputs named(class_name(), inputs);
  TakeOPTInputs(named, arguments);
  absl::Status status = named.Finish();
  if (!status.ok()) return status;
  absl::StatusOr<BaseModelOutput> output = Forward(arguments, options);
  if (!output.ok()) return output.status();
  return output->ToNamed();
}

std::optional<AttentionHeads> OPTModel::attention_heads() const {
  const int64_t size = opt_.head_size();
  return AttentionHeads{
      .num_layers = opt_.num_hidden_layers,
      .num_heads = opt_.num_attention_heads,
      .pruned = opt_.pruned_heads,
      .projections = [size](int64_t layer) {
        const std::string path =
            absl::StrCat("decoder.layers.", layer, ".self_attn.");
        return std::vector<HeadProjection>{
            {path + "k_proj", size},
            {path + "v_proj", size},
            {path + "q_proj", size},
            {path + "out_proj", size, HeadProjection::Side::kInputs}};
      }};
}

void OPTModel::InitializeTensor(const TensorToInitialize& target) const {
  InitializeNormal(target, opt_.init_std);
}

OPTWithHead::OPTWithHead(PretrainedConfig config, const OPTConfig& opt,
                         ModelLayout layout, const ModuleOptions& options,
                         absl::string_view head_name)
    : PretrainedModel(std::move(config), std::move(layout), options) {
  model_ = register_module(
      "model", std::make_shared<OPTModel>(
                   this->config(), opt, SubmodelLayout(this->layout(), "model"),
                   options));
  head_ = AddChild<Linear>(this->layout().tree.root, head_name, options);
}

void OPTWithHead::InitializeTensor(const TensorToInitialize& target) const {
  model_->InitializeTensor(target);
}

absl::StatusOr<HeadOutput> OPTWithHead::TokenLogits(
    const OPTModelInputs& inputs, const ForwardOptions& options) {
  absl::StatusOr<BaseModelOutput> base = model_->Forward(inputs, options);
  if (!base.ok()) return base.status();
  return HeadOutput{
      .logits = (*head_)(StatesForLogits(base->last_hidden_state, options)),
      .past_key_values = std::move(base->past_key_values),
      .hidden_states = std::move(base->hidden_states),
      .attentions = std::move(base->attentions)};
}

template <typename Self>
absl::StatusOr<ModelOutput> OPTWithHead::CallWithLabels(
    Self& self, const NamedTensors& inputs, const ForwardOptions& options) {
  OPTHeadInputs arguments;
  NamedInputs named(class_name(), inputs);
  TakeOPTInputs(named, arguments);
  named.Take("labels", arguments.labels);
  absl::Status status = named.Finish();
  if (!status.ok()) return status;
  absl::StatusOr<HeadOutput> output = self.Forward(arguments, options);
  if (!output.ok()) return output.status();
  return output->ToNamed();
}

OPTForCausalLM::OPTForCausalLM(PretrainedConfig config, const OPTConfig& opt,
                               ModelLayout layout, const ModuleOptions& options)
    : OPTWithHead(std::move(config), opt, std::move(layout), options,
                  "lm_head") {}

absl::StatusOr<HeadOutput> OPTForCausalLM::Forward(
    const OPTHeadInputs& inputs, const ForwardOptions& options) {
  return CatchTorch(class_name(), [&]() -> absl::StatusOr<HeadOutput> {
    absl::StatusOr<HeadOutput> output = TokenLogits(inputs, options);
    if (!output.ok() || !inputs.labels.defined()) return output;
    absl::StatusOr<at::Tensor> loss =
        NextTokenLoss(output->logits, inputs.labels);
    if (!loss.ok()) return loss.status();
    output->loss = *std::move(loss);
    return output;
  });
}

absl::StatusOr<ModelOutput> OPTForCausalLM::Call(
    const NamedTensors& inputs, const ForwardOptions& options) {
  return CallWithLabels(*this, inputs, options);
}

OPTForSequenceClassification::OPTForSequenceClassification(
    PretrainedConfig config, const OPTConfig& opt, ModelLayout layout,
    const ModuleOptions& options)
    : OPTWithHead(std::move(config), opt, std::move(layout), options, "score") {
}

absl::StatusOr<HeadOutput> OPTForSequenceClassification::Forward(
    const OPTHeadInputs& inputs, const ForwardOptions& options) {
  return CatchTorch(class_name(), [&]() -> absl::StatusOr<HeadOutput> {
    absl::StatusOr<HeadOutput> output = TokenLogits(inputs, options);
    if (!output.ok()) return output;
    const OPTConfig& opt = opt_config();
    if (opt.pad_token_id.has_value()) {
      absl::StatusOr<at::Tensor> last =
          LastTokenLogits(output->logits, inputs.input_ids, opt.pad_token_id);
      if (!last.ok()) return last.status();
      output->logits = *std::move(last);
    } else {
      output->logits = output->logits.select(1, output->logits.size(1) - 1);
    }
    if (!inputs.labels.defined()) return output;
    absl::StatusOr<at::Tensor> loss = SequenceLoss(
        output->logits, inputs.labels, opt.num_labels, opt.problem_type);
    if (!loss.ok()) return loss.status();
    output->loss = *std::move(loss);
    return output;
  });
}

absl::StatusOr<ModelOutput> OPTForSequenceClassification::Call(
    const NamedTensors& inputs, const ForwardOptions& options) {
  return CallWithLabels(*this, inputs, options);
}

OPTForQuestionAnswering::OPTForQuestionAnswering(PretrainedConfig config,
                                                 const OPTConfig& opt,
                                                 ModelLayout layout,
                                                 const ModuleOptions& options)
    : OPTWithHead(std::move(config), opt, std::move(layout), options,
                  "qa_outputs") {}

absl::StatusOr<QuestionAnsweringOutput> OPTForQuestionAnswering::Forward(
    const OPTForQuestionAnsweringInputs& inputs,
    const ForwardOptions& options) {
  using Result = absl::StatusOr<QuestionAnsweringOutput>;
  return CatchTorch(class_name(), [&]() -> Result {
    absl::StatusOr<HeadOutput> base = TokenLogits(inputs, options);
    if (!base.ok()) return base.status();
    QuestionAnsweringOutput output = AnswerOf(base->logits);
    output.hidden_states = std::move(base->hidden_states);
    output.attentions = std::move(base->attentions);
    if (!inputs.start_positions.defined() || !inputs.end_positions.defined()) {
      return output;
    }
    absl::StatusOr<at::Tensor> loss =
        SpanLoss(output.start_logits, output.end_logits, inputs.start_positions,
                 inputs.end_positions);
    if (!loss.ok()) return loss.status();
    output.loss = *std::move(loss);
    return output;
  });
}

absl::StatusOr<ModelOutput> OPTForQuestionAnswering::Call(
    const NamedTensors& inputs, const ForwardOptions& options) {
  OPTForQuestionAnsweringInputs arguments;
  NamedInputs named(class_name(), inputs);
  TakeOPTInputs(named, arguments);
  named.Take("start_positions", arguments.start_positions);
  named.Take("end_positions", arguments.end_positions);
  absl::Status status = named.Finish();
  if (!status.ok()) return status;
  absl::StatusOr<QuestionAnsweringOutput> output = Forward(arguments, options);
  if (!output.ok()) return output.status();
  return output->ToNamed();
}

const ModelClass& OPTModel::Class() {
  static const ModelClass* const model_class = new ModelClass(
      MakeModelClass<OPTModel, OPTConfig>(OPTModelLayoutClass()));
  return *model_class;
}

const ModelClass& OPTForCausalLM::Class() {
  static const ModelClass* const model_class = new ModelClass(
      MakeModelClass<OPTForCausalLM, OPTConfig>(OPTForCausalLMLayoutClass()));
  return *model_class;
}

const ModelClass& OPTForSequenceClassification::Class() {
  static const ModelClass* const model_class =
      new ModelClass(MakeModelClass<OPTForSequenceClassification, OPTConfig>(
          OPTForSequenceClassificationLayoutClass()));
  return *model_class;
}

const ModelClass& OPTForQuestionAnswering::Class() {
  static const ModelClass* const model_class =
      new ModelClass(MakeModelClass<OPTForQuestionAnswering, OPTConfig>(
          OPTForQuestionAnsweringLayoutClass()));
  return *model_class;
}

namespace {

bool RegisterAll() {
  for (const ModelClass* model_class :
       {&OPTModel::Class(), &OPTForCausalLM::Class(),
        &OPTForSequenceClassification::Class(),
        &OPTForQuestionAnswering::Class()}) {
    RegisterModel(model_class);
  }
  RegisterForAutoClass(AutoTask::kBase, "opt", "OPTModel");
  RegisterForAutoClass(AutoTask::kCausalLM, "opt", "OPTForCausalLM");
  RegisterForAutoClass(AutoTask::kSequenceClassification, "opt",
                       "OPTForSequenceClassification");
  return RegisterForAutoClass(AutoTask::kQuestionAnswering, "opt",
                              "OPTForQuestionAnswering");
}

[[maybe_unused]] const bool kRegistered = RegisterAll();

}  // namespace

}  // namespace pretrained
