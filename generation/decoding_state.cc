#include "generation/decoding_state.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace pretrained {
namespace {

constexpr absl::string_view kTokenTypes = "token_type_ids";
constexpr absl::string_view kEmbeds = "inputs_embeds";
constexpr absl::string_view kDecoderMask = "decoder_attention_mask";

// Inputs that have a row for each text.
bool HasRows(absl::string_view name) {
  return name == kTokenTypes || name == kEmbeds || name == kDecoderMask;
}

at::Tensor WithColumnOfOnes(const at::Tensor& mask) {
  return at::cat({mask, at::ones({mask.size(0), 1}, mask.options())}, 1);
}

at::Tensor LastColumn(const at::Tensor& x) {
  return x.narrow(1, x.size(1) - 1, 1);
}

// Puts tensor "past_key_values.LAYER.INDEX", of which `name` is what comes
// after the first dot, into its place.
void AddToCache(absl::string_view name, const at::Tensor& tensor,
                KeyValueCache& cache) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(name, absl::MaxSplits('.', 1));
  size_t layer = 0;
  size_t index = 0;
  if (!absl::SimpleAtoi(parts.first, &layer) ||
      !absl::SimpleAtoi(parts.second, &index)) {
    return;
  }
  if (cache.size() <= layer) cache.resize(layer + 1);
  if (cache[layer].size() <= index) cache[layer].resize(index + 1);
  cache[layer][index] = tensor;
}

// Of a model with an encoder the decoder's states are meant.
bool IsState(absl::string_view name, bool is_encoder_decoder,
             absl::string_view what) {
  if (is_encoder_decoder && !absl::ConsumePrefix(&name, "decoder_")) {
    return false;
  }
  return absl::ConsumePrefix(&name, what) && absl::StartsWith(name, ".");
}

}  // namespace

DecodingState::DecodingState(PretrainedModel& model, Prompt prompt,
                             const Options& options)
    : model_(model),
      options_(options),
      is_encoder_decoder_(IsEncoderDecoder(model)),
      prompt_length_(prompt.input_ids.size(1)),
      store_(options.max_length),
      ids_(std::move(prompt.input_ids)),
      attention_mask_(std::move(prompt.attention_mask)),
      encoder_outputs_(std::move(prompt.encoder_outputs)),
      others_(std::move(prompt.others)) {
  if (!is_encoder_decoder_) position_ids_ = PositionIds(attention_mask_);
}

at::Tensor DecodingState::Readable(const at::Tensor& ids) const {
  if (!options_.pad_outside_vocabulary.has_value()) return ids;
  return ids.masked_fill(ids.eq(*options_.pad_outside_vocabulary), 0);
}

GenerationStep DecodingState::NextInputs() const {
  GenerationStep step{.attention_mask = attention_mask_,
                      .past_key_values = past_,
                      .encoder_outputs = encoder_outputs_,
                      .others = others_};
  if (!past_.empty()) {
    step.input_ids = Readable(LastColumn(ids_));
    if (position_ids_.defined()) step.position_ids = LastColumn(position_ids_);
    const auto types = step.others.find(kTokenTypes);
    if (types != step.others.end()) types->second = LastColumn(types->second);
    return step;
  }
  step.position_ids = position_ids_;
  const int64_t written = ids_.size(1) - prompt_length_;
  step.input_ids =
      written == 0
          ? ids_
          : at::cat({ids_.narrow(1, 0, prompt_length_),
                     Readable(ids_.narrow(1, prompt_length_, written))},
                    1);
  return step;
}

absl::StatusOr<StepOutput> DecodingState::Step() {
  absl::StatusOr<NamedTensors> inputs =
      model_.PrepareInputsForGeneration(NextInputs());
  if (!inputs.ok()) return inputs.status();
  // From here on only the store knows them, so that what grows is not copied.
  past_.clear();
  absl::StatusOr<ModelOutput> output = model_.Call(
      *inputs, {.output_attentions = options_.output_attentions,
                .output_hidden_states = options_.output_hidden_states,
                .use_cache = options_.use_cache,
                .key_value_store = options_.use_cache ? &store_ : nullptr,
                .only_last_logits = true});
  if (!output.ok()) return output.status();
  StepOutput step;
  for (const auto& [name, tensor] : output->fields) {
    absl::string_view rest = name;
    if (name == "logits") {
      step.logits = tensor.select(1, tensor.size(1) - 1);
    } else if (absl::ConsumePrefix(&rest, "past_key_values.")) {
      AddToCache(rest, tensor, past_);
    } else if (IsState(name, is_encoder_decoder_, "hidden_states")) {
      step.hidden_states.push_back(tensor);
    } else if (IsState(name, is_encoder_decoder_, "attentions")) {
      step.attentions.push_back(tensor);
    } else if (absl::StartsWith(name, "cross_attentions.")) {
      step.cross_attentions.push_back(tensor);
    }
  }
  if (!step.logits.defined()) {
    return absl::InternalError(
        absl::StrCat(model_.class_name(), " returned no logits"));
  }
  others_.erase(kEmbeds);  // Of the prompt.
  return step;
}

void DecodingState::Expand(int64_t times, StepOutput& step) {
  if (times == 1) return;
  const at::Tensor rows =
      at::arange(ids_.size(0), at::dtype(at::kLong)).repeat_interleave(times);
  const auto expand = [&](at::Tensor& tensor) {
    if (tensor.defined()) tensor = tensor.index_select(0, rows);
  };
  for (at::Tensor* tensor :
       {&ids_, &attention_mask_, &position_ids_,
        &encoder_outputs_.last_hidden_state, &step.logits}) {
    expand(*tensor);
  }
  for (auto& [name, tensor] : others_) {
    if (HasRows(name)) expand(tensor);
  }
  for (auto* states :
       {&step.hidden_states, &step.attentions, &step.cross_attentions}) {
    for (at::Tensor& tensor : *states) expand(tensor);
  }
  store_.SelectRows(rows, past_);
  for (LayerCache& layer : past_) {
    for (size_t i = 2; i < layer.size(); ++i) expand(layer[i]);
  }
}

void DecodingState::Advance(const at::Tensor& rows, const at::Tensor& tokens) {
  const bool stay = !rows.defined() ||
                    at::equal(rows, at::arange(rows.size(0), rows.options()));
  // What else has rows is of the prompt, or the same for all.
  const at::Tensor texts = stay ? ids_ : ids_.index_select(0, rows);
  ids_ = at::cat({texts, tokens.unsqueeze(1)}, 1);
  if (!stay && !past_.empty()) store_.SelectRows(rows, past_);
  if (!is_encoder_decoder_ && attention_mask_.defined()) {
    attention_mask_ = WithColumnOfOnes(attention_mask_);
    const at::Tensor next =
        (attention_mask_.to(at::kLong).sum(1) - 1).unsqueeze(1);
    position_ids_ = past_.empty() ? at::cat({position_ids_, next}, 1) : next;
  }
  for (auto& [name, tensor] : others_) {
    if (name == kTokenTypes) {
      tensor = at::cat({tensor, LastColumn(tensor)}, 1);
    } else if (name == kDecoderMask) {
      tensor = WithColumnOfOnes(tensor);
    }
  }
}

}  // namespace pretrained
