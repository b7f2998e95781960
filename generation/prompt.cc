#include "generation/prompt.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "absl/algorithm/container.h"
#include "absl/log/absl_log.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "modeling/catch_torch.h"
#include "modeling/named_inputs.h"

namespace pretrained {
namespace {

constexpr char kEmbeds[] = "inputs_embeds";
constexpr char kDecoderMask[] = "decoder_attention_mask";
constexpr absl::string_view kEncoderOutputs = "encoder_outputs.0";

const at::Tensor* Find(const NamedTensors& inputs, absl::string_view name) {
  const auto found = inputs.find(name);
  return found == inputs.end() || !found->second.defined() ? nullptr
                                                           : &found->second;
}

absl::Status CheckNames(const PretrainedModel& model,
                        const NamedTensors& inputs) {
  std::vector<std::string> known = {"input_ids", "attention_mask"};
  for (std::string& name : model.GenerationInputs()) {
    if (name != "position_ids") known.push_back(std::move(name));
  }
  if (IsEncoderDecoder(model)) {
    known.push_back("decoder_input_ids");
    known.emplace_back(kEncoderOutputs);
  }
  for (const auto& [name, tensor] : inputs) {
    if (!absl::c_linear_search(known, name)) {
      return absl::InvalidArgumentError(
          absl::StrCat(model.class_name(), " does not generate from an input '",
                       name, "'; it takes: ", absl::StrJoin(known, ", ")));
    }
  }
  return absl::OkStatus();
}

// Ids as int64, [rows, tokens], none of them 0.
absl::StatusOr<at::Tensor> CheckedIds(absl::string_view name,
                                      const at::Tensor& ids) {
  if (ids.dim() != 2 || ids.numel() == 0) {
    return BadShape(name, ids,
                    "[rows, tokens], with a row and a token at least, is "
                    "expected");
  }
  if (at::isFloatingType(ids.scalar_type()) || ids.scalar_type() == at::kBool) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": is of dtype ", c10::toString(ids.scalar_type()),
                     ", but int64 or int32 is expected"));
  }
  return ids.to(at::kLong);
}

// A mask of `rows` x `tokens`: undefined where it hides nothing.
absl::StatusOr<at::Tensor> CheckedMask(absl::string_view name,
                                       const at::Tensor& mask, int64_t rows,
                                       int64_t tokens) {
  if (!mask.defined()) return mask;
  absl::Status status = CheckShape(name, mask, {rows, tokens});
  if (!status.ok()) return status;
  if (mask.eq(1).all().item().toBool()) return at::Tensor();
  return at::isFloatingType(mask.scalar_type()) ? mask : mask.to(at::kLong);
}

// The mask that a caller who gives none means.
absl::StatusOr<at::Tensor> GuessedMask(const at::Tensor& ids,
                                       const GenerationConfig& config) {
  absl::StatusOr<std::optional<int64_t>> pad =
      config.GetOptionalInt("pad_token_id");
  if (!pad.ok()) return pad.status();
  absl::StatusOr<std::vector<int64_t>> eos = config.GetInts("eos_token_id");
  if (!eos.ok()) return eos.status();
  if (!pad->has_value() || absl::c_linear_search(*eos, **pad)) {
    return at::Tensor();
  }
  const at::Tensor mask = ids.ne(**pad);
  return mask.all().item().toBool() ? at::Tensor() : mask.to(at::kLong);
}

absl::StatusOr<std::optional<int64_t>> TokenOfVocabulary(
    const PretrainedModel& model, const GenerationConfig& config,
    absl::string_view name) {
  absl::StatusOr<std::optional<int64_t>> id = config.GetOptionalInt(name);
  if (!id.ok() || !id->has_value()) return id;
  absl::StatusOr<int64_t> size = model.config().GetInt("vocab_size");
  if (!size.ok()) return size.status();
  if (**id < 0 || **id >= *size) {
    return config.BadValue(
        name, absl::StrCat("a text starts with it, so that 0 to ", *size - 1,
                           " are expected, as vocab_size says"));
  }
  return id;
}

// What to begin with where there is nothing: [rows, 1] of bos_token_id.
absl::StatusOr<at::Tensor> BosIds(const PretrainedModel& model,
                                  const NamedTensors& inputs,
                                  const GenerationConfig& config) {
  absl::StatusOr<std::optional<int64_t>> bos =
      TokenOfVocabulary(model, config, "bos_token_id");
  if (!bos.ok()) return bos.status();
  if (!bos->has_value()) {
    return absl::InvalidArgumentError(
        "give input_ids, or set bos_token_id to begin with");
  }
  int64_t rows = 1;
  for (const absl::string_view name : {kEmbeds, "attention_mask"}) {
    const at::Tensor* tensor = Find(inputs, name);
    if (tensor == nullptr) continue;
    if (tensor->dim() < 1 || tensor->size(0) == 0) {
      return BadShape(name, *tensor, "at least one row is expected");
    }
    rows = tensor->size(0);
    break;
  }
  return at::full({rows, 1}, **bos, at::dtype(at::kLong));
}

// Whether ids that a decoder is to go on from end with padding.
void WarnOfPaddingOnTheRight(const at::Tensor& ids,
                             const GenerationConfig& config) {
  const absl::StatusOr<std::optional<int64_t>> pad =
      config.GetOptionalInt("pad_token_id");
  if (!pad.ok() || !pad->has_value()) return;
  if (ids.select(1, -1).eq(**pad).any().item().toBool()) {
    ABSL_LOG(WARNING) << "input_ids end with padding, which a decoder goes on "
                         "from as if it were text; pad on the left";
  }
}

// Inputs of the encoder alone.
NamedTensors EncoderInputs(const Prompt& prompt, const NamedTensors& others) {
  NamedTensors inputs;
  for (const auto& [name, tensor] : others) {
    if (!absl::StartsWith(name, "decoder_") &&
        !absl::StartsWith(name, "cross_attn")) {
      inputs[name] = tensor;
    }
  }
  if (!inputs.contains(kEmbeds)) {
    inputs["input_ids"] = prompt.encoder_input_ids;
  }
  if (prompt.attention_mask.defined()) {
    inputs["attention_mask"] = prompt.attention_mask;
  }
  return inputs;
}

// Puts the decoder's first ids in `prompt`.
absl::Status StartDecoder(const PretrainedModel& model,
                          const NamedTensors& inputs,
                          const GenerationConfig& config, int64_t rows,
                          Prompt& prompt) {
  absl::StatusOr<std::optional<int64_t>> start =
      TokenOfVocabulary(model, config, "decoder_start_token_id");
  if (start.ok() && !start->has_value()) {
    start = TokenOfVocabulary(model, config, "bos_token_id");
  }
  if (!start.ok()) return start.status();
  if (!start->has_value()) {
    return absl::InvalidArgumentError(
        "a decoder has to start with something: set decoder_start_token_id, "
        "or bos_token_id");
  }
  const at::Tensor first = at::full({rows, 1}, **start, at::dtype(at::kLong));
  const at::Tensor* given = Find(inputs, "decoder_input_ids");
  if (given == nullptr) {
    prompt.input_ids = first;
  } else {
    absl::StatusOr<at::Tensor> ids = CheckedIds("decoder_input_ids", *given);
    if (!ids.ok()) return ids.status();
    if (ids->size(0) != rows) {
      return BadShape("decoder_input_ids", *ids,
                      absl::StrCat(rows,
                                   " rows, as the encoder's input has, "
                                   "are expected"));
    }
    const bool starts = !ids->select(1, 0).ne(**start).all().item().toBool();
    prompt.input_ids = starts ? *ids : at::cat({first, *ids}, 1);
    const auto mask = prompt.others.find(kDecoderMask);
    if (mask != prompt.others.end() && !starts) {
      mask->second = at::cat(
          {at::ones_like(mask->second.narrow(1, 0, 1)), mask->second}, 1);
    }
  }
  const auto mask = prompt.others.find(kDecoderMask);
  if (mask == prompt.others.end()) return absl::OkStatus();
  return CheckShape(kDecoderMask, mask->second,
                    {rows, prompt.input_ids.size(1)});
}

absl::StatusOr<Prompt> EncoderDecoderPrompt(PretrainedModel& model,
                                            const NamedTensors& inputs,
                                            const GenerationConfig& config,
                                            const ForwardOptions& options,
                                            Prompt prompt) {
  const at::Tensor* ids = Find(inputs, "input_ids");
  const at::Tensor* embeds = Find(inputs, kEmbeds);
  const at::Tensor* states = Find(inputs, kEncoderOutputs);
  if ((ids != nullptr) + (embeds != nullptr) + (states != nullptr) > 1) {
    return absl::InvalidArgumentError(
        "input_ids, inputs_embeds and encoder_outputs.0: give one of them");
  }
  at::Tensor main;
  if (embeds != nullptr || states != nullptr) {
    main = embeds != nullptr ? *embeds : *states;
    if (main.dim() != 3 || main.numel() == 0) {
      return BadShape(embeds != nullptr ? kEmbeds : kEncoderOutputs, main,
                      "[rows, tokens, hidden size] is expected");
    }
  } else {
    absl::StatusOr<at::Tensor> checked = ids != nullptr
                                             ? CheckedIds("input_ids", *ids)
                                             : BosIds(model, inputs, config);
    if (!checked.ok()) return checked.status();
    main = prompt.encoder_input_ids = *checked;
  }
  const int64_t rows = main.size(0);
  absl::StatusOr<at::Tensor> mask =
      CheckedMask("attention_mask", prompt.attention_mask, rows, main.size(1));
  if (mask.ok() && !prompt.attention_mask.defined() && main.dim() == 2) {
    mask = GuessedMask(main, config);
  }
  if (!mask.ok()) return mask.status();
  prompt.attention_mask = *std::move(mask);
  absl::Status status = StartDecoder(model, inputs, config, rows, prompt);
  if (!status.ok()) return status;
  if (states != nullptr) {
    prompt.encoder_outputs.last_hidden_state = *states;
    return prompt;
  }
  absl::StatusOr<BaseModelOutput> encoded =
      model.EncodeForGeneration(EncoderInputs(prompt, prompt.others), options);
  if (!encoded.ok()) return encoded.status();
  prompt.encoder_outputs = *std::move(encoded);
  prompt.others.erase(kEmbeds);
  return prompt;
}

absl::StatusOr<Prompt> DecoderPrompt(const PretrainedModel& model,
                                     const NamedTensors& inputs,
                                     const GenerationConfig& config,
                                     Prompt prompt) {
  const at::Tensor* given = Find(inputs, "input_ids");
  absl::StatusOr<at::Tensor> ids = given != nullptr
                                       ? CheckedIds("input_ids", *given)
                                       : BosIds(model, inputs, config);
  if (!ids.ok()) return ids.status();
  prompt.input_ids = *ids;
  const at::Tensor* embeds = Find(inputs, kEmbeds);
  if (embeds != nullptr &&
      (embeds->dim() != 3 || embeds->size(0) != ids->size(0) ||
       embeds->numel() == 0)) {
    return BadShape(
        kEmbeds, *embeds,
        absl::StrCat("[", ids->size(0), ", tokens, hidden size] is expected"));
  }
  const int64_t tokens = embeds != nullptr ? embeds->size(1) : ids->size(1);
  absl::StatusOr<at::Tensor> mask = CheckedMask(
      "attention_mask", prompt.attention_mask, ids->size(0), tokens);
  if (mask.ok() && !prompt.attention_mask.defined() && embeds == nullptr) {
    mask = GuessedMask(*ids, config);
  }
  if (!mask.ok()) return mask.status();
  prompt.attention_mask = *std::move(mask);
  if (const at::Tensor* types = Find(prompt.others, "token_type_ids")) {
    absl::Status status =
        CheckShape("token_type_ids", *types, {ids->size(0), tokens});
    if (!status.ok()) return status;
  }
  if (embeds == nullptr) WarnOfPaddingOnTheRight(*ids, config);
  return prompt;
}

}  // namespace

bool IsEncoderDecoder(const PretrainedModel& model) {
  const absl::StatusOr<bool> is = model.config().GetBool("is_encoder_decoder");
  return is.ok() && *is;
}

at::Tensor PositionIds(const at::Tensor& attention_mask) {
  if (!attention_mask.defined()) return at::Tensor();
  return (attention_mask.to(at::kLong).cumsum(-1) - 1)
      .masked_fill(attention_mask.eq(0), 1);
}

absl::StatusOr<Prompt> MakePrompt(PretrainedModel& model,
                                  const NamedTensors& inputs,
                                  const GenerationConfig& config,
                                  const ForwardOptions& options) {
  absl::Status status = CheckNames(model, inputs);
  if (!status.ok()) return status;
  return CatchTorch("the prompt", [&]() -> absl::StatusOr<Prompt> {
    Prompt prompt;
    for (const auto& [name, tensor] : inputs) {
      if (!tensor.defined() || name == "input_ids" ||
          name == "decoder_input_ids" || name == kEncoderOutputs) {
        continue;
      }
      if (name == "attention_mask") {
        prompt.attention_mask = tensor;
      } else {
        prompt.others[name] = tensor;
      }
    }
    if (IsEncoderDecoder(model)) {
      return EncoderDecoderPrompt(model, inputs, config, options,
                                  std::move(prompt));
    }
    return DecoderPrompt(model, inputs, config, std::move(prompt));
  });
}

}  // namespace pretrained
