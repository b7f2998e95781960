#include "modeling/bert/bert_inputs.h"

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
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "modeling/bert/bert_config.h"
#include "modeling/bert/bert_encoder.h"
#include "modeling/model_output.h"

namespace pretrained {
namespace {

constexpr absl::string_view kNames[] = {"input_ids",
                                        "attention_mask",
                                        "token_type_ids",
                                        "position_ids",
                                        "head_mask",
                                        "inputs_embeds",
                                        "encoder_hidden_states",
                                        "encoder_attention_mask"};

// More layers or tensors than any model has, so that a name cannot make us
// allocate much.
constexpr int64_t kMaxIndex = 100'000;

absl::Status Bad(absl::string_view name, const at::Tensor& tensor,
                 absl::string_view expected) {
  return absl::InvalidArgumentError(
      absl::StrCat(name, ": has shape [", absl::StrJoin(tensor.sizes(), ", "),
                   "], but ", expected));
}

// Ids must be whole numbers from 0 to `limit` - 1.
absl::Status CheckIds(absl::string_view name, const at::Tensor& ids,
                      int64_t limit, absl::string_view limit_name) {
  if (!ids.defined()) return absl::OkStatus();
  const at::ScalarType type = ids.scalar_type();
  if (type != at::kLong && type != at::kInt) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": is of dtype ", c10::toString(type),
                     ", but int64 or int32 is expected"));
  }
  if (!ids.device().is_cpu() || ids.numel() == 0) return absl::OkStatus();
  const auto [lowest, highest] = at::aminmax(ids);
  for (const int64_t id : {lowest.item().toLong(), highest.item().toLong()}) {
    if (id < 0 || id >= limit) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": holds ", id, ", but ", limit_name, " is ",
                       limit, ", so 0 to ", limit - 1, " are expected"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckSize(absl::string_view name, const at::Tensor& tensor,
                       const std::vector<int64_t>& sizes) {
  if (!tensor.defined() || tensor.sizes() == sizes) return absl::OkStatus();
  return Bad(name, tensor,
             absl::StrCat("[", absl::StrJoin(sizes, ", "), "] is expected"));
}

absl::Status CheckCache(const BertConfig& config, const BertModelInputs& inputs,
                        int64_t batch) {
  if (inputs.past_key_values.empty()) return absl::OkStatus();
  if (!config.is_decoder) {
    return absl::InvalidArgumentError(
        "past_key_values: only a decoder takes them; set is_decoder in the "
        "config");
  }
  if (static_cast<int64_t>(inputs.past_key_values.size()) !=
      config.num_hidden_layers) {
    return absl::InvalidArgumentError(
        absl::StrCat("past_key_values: holds ", inputs.past_key_values.size(),
                     " layers, but the model has ", config.num_hidden_layers));
  }
  const bool cross = inputs.encoder_hidden_states.defined();
  for (size_t i = 0; i < inputs.past_key_values.size(); ++i) {
    const BertLayerCache& layer = inputs.past_key_values[i];
    if (layer.size() < (cross ? 4u : 2u) || layer.size() > 4) {
      return absl::InvalidArgumentError(absl::StrCat(
          "past_key_values.", i, ": holds ", layer.size(), " tensors, but ",
          cross ? "4 are expected with encoder states" : "2 are expected"));
    }
    for (size_t n = 0; n < layer.size(); ++n) {
      const std::string name = absl::StrCat("past_key_values.", i, ".", n);
      if (!layer[n].defined()) {
        return absl::InvalidArgumentError(absl::StrCat(name, ": is not given"));
      }
      if (layer[n].dim() != 4 || layer[n].size(0) != batch ||
          layer[n].size(3) != config.head_size() ||
          (n < 2 && layer[n].size(2) != CachedLength(inputs))) {
        return Bad(name, layer[n],
                   absl::StrCat("[", batch, ", heads, tokens, ",
                                config.head_size(), "] is expected"));
      }
    }
  }
  return absl::OkStatus();
}

// Masks and encoder states against the batch and its lengths.
absl::Status CheckMasks(const BertConfig& config, const BertModelInputs& inputs,
                        int64_t batch, int64_t length) {
  const int64_t keys = length + CachedLength(inputs);
  const at::Tensor& mask = inputs.attention_mask;
  if (mask.defined()) {
    const bool two = mask.dim() == 2 && mask.size(1) == keys;
    const bool three = mask.dim() == 3 && mask.size(2) == keys &&
                       (mask.size(1) == length || mask.size(1) == 1);
    if (!(two || three) || (mask.size(0) != batch && mask.size(0) != 1)) {
      return Bad("attention_mask", mask,
                 absl::StrCat("[", batch, ", ", keys, "] or [", batch, ", ",
                              length, ", ", keys, "] is expected"));
    }
  }
  const at::Tensor& states = inputs.encoder_hidden_states;
  if (!states.defined() || !config.is_decoder) return absl::OkStatus();
  if (!config.add_cross_attention) {
    return absl::InvalidArgumentError(
        "encoder_hidden_states: this model has no cross-attention; set "
        "add_cross_attention in the config");
  }
  if (states.dim() != 3 || states.size(2) != config.hidden_size) {
    return Bad(
        "encoder_hidden_states", states,
        absl::StrCat("[batch, tokens, ", config.hidden_size, "] is expected"));
  }
  const at::Tensor& encoder_mask = inputs.encoder_attention_mask;
  if (encoder_mask.defined() &&
      (encoder_mask.dim() < 2 || encoder_mask.dim() > 3 ||
       encoder_mask.size(-1) != states.size(1))) {
    return Bad("encoder_attention_mask", encoder_mask,
               absl::StrCat("[batch, ", states.size(1), "] or [batch, ", length,
                            ", ", states.size(1), "] is expected"));
  }
  return absl::OkStatus();
}

// What the model has a row for: longer sequences are possible only where the
// caller gives positions and token types, and positions are absolute.
absl::Status CheckLength(const BertConfig& config,
                         const BertModelInputs& inputs, int64_t length) {
  const int64_t limit = config.max_position_embeddings;
  const int64_t total = length + CachedLength(inputs);
  const bool absolute = config.position_embedding_type == "absolute";
  const bool fits =
      (length <= limit || inputs.token_type_ids.defined()) &&
      (total <= limit || (absolute && inputs.position_ids.defined()));
  if (fits) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("the sequence has ", total,
                   " tokens, but the model has max_position_embeddings ", limit,
                   "; shorten it"));
}

absl::Status CheckChunks(const BertConfig& config, int64_t length) {
  const int64_t chunk = config.chunk_size_feed_forward;
  if (chunk == 0 || length % chunk == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("the sequence has ", length,
                   " tokens, but a multiple of chunk_size_feed_forward, ",
                   chunk, ", is expected"));
}

}  // namespace

int64_t CachedLength(const BertModelInputs& inputs) {
  if (inputs.past_key_values.empty() || inputs.past_key_values[0].empty() ||
      !inputs.past_key_values[0][0].defined() ||
      inputs.past_key_values[0][0].dim() != 4) {
    return 0;
  }
  return inputs.past_key_values[0][0].size(2);
}

absl::StatusOr<BertModelInputs> BertInputsByName(absl::string_view class_name,
                                                 const NamedTensors& inputs) {
  BertModelInputs result;
  at::Tensor* const slots[] = {&result.input_ids,
                               &result.attention_mask,
                               &result.token_type_ids,
                               &result.position_ids,
                               &result.head_mask,
                               &result.inputs_embeds,
                               &result.encoder_hidden_states,
                               &result.encoder_attention_mask};
  for (const auto& [name, tensor] : inputs) {
    bool known = false;
    for (size_t i = 0; i < std::size(kNames); ++i) {
      if (name != kNames[i]) continue;
      *slots[i] = tensor;
      known = true;
    }
    const std::vector<std::string> parts = absl::StrSplit(name, '.');
    int64_t layer = 0;
    int64_t index = 0;
    if (parts.size() == 3 && parts[0] == "past_key_values" &&
        absl::SimpleAtoi(parts[1], &layer) && layer >= 0 && layer < kMaxIndex &&
        absl::SimpleAtoi(parts[2], &index) && index >= 0 && index < 4) {
      auto& past = result.past_key_values;
      if (static_cast<int64_t>(past.size()) <= layer) past.resize(layer + 1);
      if (static_cast<int64_t>(past[layer].size()) <= index) {
        past[layer].resize(index + 1);
      }
      past[layer][index] = tensor;
      known = true;
    }
    if (!known) {
      return absl::InvalidArgumentError(absl::StrCat(
          class_name, " has no input '", name, "'; it takes: ",
          absl::StrJoin(kNames, ", "), ", past_key_values.LAYER.INDEX"));
    }
  }
  return result;
}

absl::Status CheckBertInputs(const BertConfig& config,
                             const BertModelInputs& inputs) {
  const bool by_ids = inputs.input_ids.defined();
  if (by_ids == inputs.inputs_embeds.defined()) {
    return absl::InvalidArgumentError(
        by_ids ? "input_ids and inputs_embeds: give one of them, not both"
               : "give input_ids, or inputs_embeds");
  }
  const at::Tensor& main = by_ids ? inputs.input_ids : inputs.inputs_embeds;
  if (by_ids && main.dim() != 2) {
    return Bad("input_ids", main, "[batch, tokens] is expected");
  }
  if (!by_ids && (main.dim() != 3 || main.size(2) != config.hidden_size)) {
    return Bad(
        "inputs_embeds", main,
        absl::StrCat("[batch, tokens, ", config.hidden_size, "] is expected"));
  }
  const int64_t batch = main.size(0);
  const int64_t length = main.size(1);
  if (batch == 0 || length == 0) {
    return Bad(by_ids ? "input_ids" : "inputs_embeds", main,
               "at least one row and one token are expected");
  }
  absl::Status status = CheckLength(config, inputs, length);
  status.Update(CheckChunks(config, length));
  status.Update(
      CheckSize("token_type_ids", inputs.token_type_ids, {batch, length}));
  const at::Tensor& positions = inputs.position_ids;
  if (positions.defined() &&
      (positions.dim() > 2 || positions.size(-1) != length)) {
    status.Update(
        Bad("position_ids", positions,
            absl::StrCat("[1 or ", batch, ", ", length, "] is expected")));
  }
  status.Update(
      CheckIds("input_ids", inputs.input_ids, config.vocab_size, "vocab_size"));
  status.Update(CheckIds("token_type_ids", inputs.token_type_ids,
                         config.type_vocab_size, "type_vocab_size"));
  status.Update(CheckIds("position_ids", positions,
                         config.max_position_embeddings,
                         "max_position_embeddings"));
  status.Update(CheckMasks(config, inputs, batch, length));
  status.Update(CheckCache(config, inputs, batch));
  return status;
}

}  // namespace pretrained
