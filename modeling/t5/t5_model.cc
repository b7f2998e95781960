#include "modeling/t5/t5_model.h"

#include <cmath>
#include <memory>
#include <utility>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modeling/auto_model.h"
#include "modeling/catch_torch.h"
#include "modeling/from_pretrained.h"
#include "modeling/last_token.h"
#include "modeling/losses.h"
#include "modeling/model_layout.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/pretrained_config.h"
#include "modeling/seq2seq_output.h"
#include "modeling/t5/t5_config.h"
#include "modeling/t5/t5_inputs.h"
#include "modeling/t5/t5_layout.h"
#include "modeling/t5/t5_pretrained_model.h"

namespace pretrained {

T5Model::T5Model(PretrainedConfig config, const T5Config& t5,
                 ModelLayout layout, const ModuleOptions& options)
    : T5EncoderDecoder(std::move(config), t5, std::move(layout), options) {}

absl::StatusOr<Seq2SeqOutput> T5Model::Forward(const T5Inputs& inputs,
                                               const ForwardOptions& options) {
  return CatchTorch("T5Model", [&]() -> absl::StatusOr<Seq2SeqOutput> {
    if (inputs.labels.defined()) {
      return absl::InvalidArgumentError(
          "labels: T5Model has no head to compare with them; load "
          "T5ForConditionalGeneration");
    }
    absl::Status status = CheckT5Inputs(t5_config(), inputs);
    if (!status.ok()) return status;
    return EncodeAndDecode(inputs, options);
  });
}

absl::StatusOr<ModelOutput> T5Model::Call(const NamedTensors& inputs,
                                          const ForwardOptions& options) {
  absl::StatusOr<T5Inputs> arguments =
      T5InputsByName(class_name(), inputs, /*takes_labels=*/false);
  if (!arguments.ok()) return arguments.status();
  absl::StatusOr<Seq2SeqOutput> output = Forward(*arguments, options);
  if (!output.ok()) return output.status();
  return output->ToNamed();
}

const ModelClass& T5Model::Class() {
  static const ModelClass* const model_class =
      new ModelClass(MakeModelClass<T5Model, T5Config>(T5ModelLayoutClass()));
  return *model_class;
}

T5ForConditionalGeneration::T5ForConditionalGeneration(
    PretrainedConfig config, const T5Config& t5, ModelLayout layout,
    const ModuleOptions& options)
    : T5EncoderDecoder(std::move(config), t5, std::move(layout), options),
      lm_head_(AddChild<Linear>(this->layout().tree.root, "lm_head", options)) {
}

absl::StatusOr<Seq2SeqOutput> T5ForConditionalGeneration::Forward(
    const T5Inputs& given, const ForwardOptions& options) {
  return CatchTorch(
      "T5ForConditionalGeneration", [&]() -> absl::StatusOr<Seq2SeqOutput> {
        T5Inputs inputs = given;
        if (inputs.labels.defined() && !inputs.decoder_input_ids.defined() &&
            !inputs.decoder_inputs_embeds.defined()) {
          absl::StatusOr<at::Tensor> shifted = ShiftRight(inputs.labels);
          if (!shifted.ok()) return shifted.status();
          inputs.decoder_input_ids = *std::move(shifted);
        }
        absl::Status status = CheckT5Inputs(t5_config(), inputs);
        if (!status.ok()) return status;
        absl::StatusOr<Seq2SeqOutput> output = EncodeAndDecode(inputs, options);
        if (!output.ok()) return output;
        at::Tensor states = StatesForLogits(
            std::exchange(output->last_hidden_state, {}), options);
        if (t5_config().tie_word_embeddings) {
          // The embeddings' rows are longer than those of a head of its own.
          states = states * std::pow(t5_config().d_model, -0.5);
        }
        output->logits = (*lm_head_)(states);
        if (inputs.labels.defined()) {
          absl::StatusOr<at::Tensor> loss =
              TokenLoss(output->logits, inputs.labels);
          if (!loss.ok()) return loss.status();
          output->loss = *std::move(loss);
        }
        return output;
      });
}

absl::StatusOr<ModelOutput> T5ForConditionalGeneration::Call(
    const NamedTensors& inputs, const ForwardOptions& options) {
  absl::StatusOr<T5Inputs> arguments =
      T5InputsByName(class_name(), inputs, /*takes_labels=*/true);
  if (!arguments.ok()) return arguments.status();
  absl::StatusOr<Seq2SeqOutput> output = Forward(*arguments, options);
  if (!output.ok()) return output.status();
  return output->ToNamed();
}

const ModelClass& T5ForConditionalGeneration::Class() {
  static const ModelClass* const model_class =
      new ModelClass(MakeModelClass<T5ForConditionalGeneration, T5Config>(
          T5ForConditionalGenerationLayoutClass()));
  return *model_class;
}

absl::StatusOr<NamedTensors>
T5ForConditionalGeneration::PrepareInputsForGeneration(
    const GenerationStep& step) const {
  NamedTensors inputs = step.others;
  inputs.erase("inputs_embeds");  // The encoder's.
  inputs["decoder_input_ids"] = step.input_ids;
  inputs["encoder_outputs.0"] = step.encoder_outputs.last_hidden_state;
  if (step.attention_mask.defined()) {
    inputs["attention_mask"] = step.attention_mask;
  }
  AddCacheByName("past_key_values", step.past_key_values, inputs);
  return inputs;
}

absl::StatusOr<BaseModelOutput> T5ForConditionalGeneration::EncodeForGeneration(
    const NamedTensors& inputs, const ForwardOptions& options) {
  return CatchTorch(
      "T5ForConditionalGeneration", [&]() -> absl::StatusOr<BaseModelOutput> {
        absl::StatusOr<T5EncoderInputs> arguments =
            T5EncoderInputsByName(class_name(), inputs);
        if (!arguments.ok()) return arguments.status();
        absl::Status status = CheckT5EncoderInputs(t5_config(), *arguments);
        if (!status.ok()) return status;
        return Encode(*arguments, options);
      });
}

T5EncoderModel::T5EncoderModel(PretrainedConfig config, const T5Config& t5,
                               ModelLayout layout, const ModuleOptions& options)
    : T5PreTrainedModel(std::move(config), t5, std::move(layout), options,
                        /*encoder_is_decoder=*/t5.is_decoder) {}

absl::StatusOr<BaseModelOutput> T5EncoderModel::Forward(
    const T5EncoderInputs& inputs, const ForwardOptions& options) {
  return CatchTorch("T5EncoderModel", [&]() -> absl::StatusOr<BaseModelOutput> {
    absl::Status status = CheckT5EncoderInputs(t5_config(), inputs);
    if (!status.ok()) return status;
    return Encode(inputs, options);
  });
}

absl::StatusOr<ModelOutput> T5EncoderModel::Call(
    const NamedTensors& inputs, const ForwardOptions& options) {
  absl::StatusOr<T5EncoderInputs> arguments =
      T5EncoderInputsByName(class_name(), inputs);
  if (!arguments.ok()) return arguments.status();
  absl::StatusOr<BaseModelOutput> output = Forward(*arguments, options);
  if (!output.ok()) return output.status();
  return output->ToNamed();
}

const ModelClass& T5EncoderModel::Class() {
  static const ModelClass* const model_class = new ModelClass(
      MakeModelClass<T5EncoderModel, T5Config>(T5EncoderModelLayoutClass()));
  return *model_class;
}

namespace {

const bool kRegistered =
    RegisterModel(&T5Model::Class()) &&
    RegisterModel(&T5ForConditionalGeneration::Class()) &&
    RegisterModel(&T5EncoderModel::Class()) &&
    RegisterForAutoClass(AutoTask::kBase, "t5", "T5Model") &&
    RegisterForAutoClass(AutoTask::kPreTraining, "t5",
                         "T5ForConditionalGeneration") &&
    RegisterForAutoClass(AutoTask::kSeq2SeqLM, "t5",
                         "T5ForConditionalGeneration");

}  // namespace

}  // namespace pretrained
