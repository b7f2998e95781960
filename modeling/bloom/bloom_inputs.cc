#include "modeling/bloom/bloom_inputs.h"

#include <cstddef>
#include <cstdint>
#include <string>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "modeling/bloom/bloom_config.h"
#include "modeling/model_output.h"
#include "modeling/named_inputs.h"

namespace pretrained {
namespace {

// Of the first layer's key; 0 where there is none that could be one.
int64_t CachedTokens(const KeyValueCache& cache) {
  if (cache.empty() || cache[0].empty() || cache[0][0].dim() != 3) return 0;
  return cache[0][0].size(2);
}

absl::Status CheckBloomCache(const KeyValueCache& cache,
                             const BloomConfig& config, int64_t batch) {
  if (cache.empty()) return absl::OkStatus();
  if (static_cast<int64_t>(cache.size()) != config.n_layer) {
    return absl::InvalidArgumentError(
        absl::StrCat("past_key_values: has ", cache.size(),
                     " layers, but the model has ", config.n_layer));
  }
  const int64_t tokens = CachedTokens(cache);
  for (size_t i = 0; i < cache.size(); ++i) {
    const std::string name = absl::StrCat("past_key_values.", i);
    const int64_t rows = batch * config.num_heads(static_cast<int64_t>(i));
    if (cache[i].size() != 2) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": has ", cache[i].size(),
                       " tensors, but a key and a value are expected"));
    }
    absl::Status status = CheckShape(absl::StrCat(name, ".0"), cache[i][0],
                                     {rows, config.head_size(), tokens});
    if (status.ok()) {
      status = CheckShape(absl::StrCat(name, ".1"), cache[i][1],
                          {rows, tokens, config.head_size()});
    }
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace

void TakeBloomInputs(BloomInputSet set, NamedInputs& named,
                     BloomModelInputs& inputs) {
  named.Take("input_ids", inputs.input_ids);
  named.Take("attention_mask", inputs.attention_mask);
  at::Tensor unread;
  named.Take("position_ids", unread);
  named.Take("head_mask", inputs.head_mask);
  named.Take("inputs_embeds", inputs.inputs_embeds);
  if (set.has_cache) named.TakeCache("past_key_values", inputs.past_key_values);
}

absl::StatusOr<BloomInputSizes> CheckBloomInputs(const BloomConfig& config,
                                                 int64_t vocab_size,
                                                 const BloomModelInputs& inputs,
                                                 bool has_store) {
  absl::Status status = CheckIdsOrEmbeds(inputs.input_ids, inputs.inputs_embeds,
                                         config.hidden_size);
  if (!status.ok()) return status;
  const at::Tensor& main =
      inputs.input_ids.defined() ? inputs.input_ids : inputs.inputs_embeds;
  const BloomInputSizes sizes = {
      .batch = main.size(0),
      .tokens = main.size(1),
      .cached = has_store ? CachedLength(inputs.past_key_values)
                          : CachedTokens(inputs.past_key_values)};
  status = has_store
               ? CheckCache(
                     inputs.past_key_values, config.n_layer, 2, 2, sizes.batch,
                     [&](int64_t layer) { return config.num_heads(layer); },
                     config.head_size())
               : CheckBloomCache(inputs.past_key_values, config, sizes.batch);
  if (status.ok()) {
    status = CheckIds("input_ids", inputs.input_ids, vocab_size, "vocab_size");
  }
  if (status.ok()) {
    status = CheckShape("attention_mask", inputs.attention_mask,
                        {sizes.batch, sizes.cached + sizes.tokens});
  }
  if (!status.ok()) return status;
  return sizes;
}

}  // namespace pretrained
