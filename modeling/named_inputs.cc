#include "modeling/named_inputs.h"

#include <cstdint>
#include <string>
#include <vector>

#include "ATen/ops/aminmax.h"
#include "absl/algorithm/container.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "modeling/model_output.h"

namespace pretrained {
namespace {

// More layers than any model has, so that a name cannot make us allocate much.
constexpr int64_t kMaxLayers = 100'000;
constexpr int64_t kMaxTensors = 4;

// Reads "NAME.LAYER.INDEX".
bool ParseCacheName(absl::string_view text, absl::string_view name,
                    int64_t& layer, int64_t& index) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, '.');
  return parts.size() == 3 && parts[0] == name &&
         absl::SimpleAtoi(parts[1], &layer) && layer >= 0 &&
         layer < kMaxLayers && absl::SimpleAtoi(parts[2], &index) &&
         index >= 0 && index < kMaxTensors;
}

}  // namespace

void NamedInputs::Take(absl::string_view name, at::Tensor& tensor) {
  names_.emplace_back(name);
  auto found = inputs_.find(name);
  if (found != inputs_.end()) tensor = found->second;
}

void NamedInputs::TakeCache(absl::string_view name, KeyValueCache& cache) {
  caches_.emplace_back(name);
  int64_t layer = 0;
  int64_t index = 0;
  for (const auto& [input, tensor] : inputs_) {
    if (!ParseCacheName(input, name, layer, index)) continue;
    if (static_cast<int64_t>(cache.size()) <= layer) cache.resize(layer + 1);
    LayerCache& tensors = cache[layer];
    if (static_cast<int64_t>(tensors.size()) <= index)
      tensors.resize(index + 1);
    tensors[index] = tensor;
  }
}

absl::Status NamedInputs::Finish() const {
  for (const auto& [input, unused] : inputs_) {
    if (absl::c_linear_search(names_, input)) continue;
    int64_t layer = 0;
    int64_t index = 0;
    const bool is_cache = absl::c_any_of(caches_, [&](const auto& name) {
      return ParseCacheName(input, name, layer, index);
    });
    if (is_cache) continue;
    std::vector<std::string> known = names_;
    for (const std::string& name : caches_) {
      known.push_back(absl::StrCat(name, ".LAYER.INDEX"));
    }
    return absl::InvalidArgumentError(
        absl::StrCat(class_name_, " has no input '", input,
                     "'; it takes: ", absl::StrJoin(known, ", ")));
  }
  return absl::OkStatus();
}

absl::Status BadShape(absl::string_view name, const at::Tensor& tensor,
                      absl::string_view expected) {
  return absl::InvalidArgumentError(
      absl::StrCat(name, ": has shape [", absl::StrJoin(tensor.sizes(), ", "),
                   "], but ", expected));
}

absl::Status CheckShape(absl::string_view name, const at::Tensor& tensor,
                        const std::vector<int64_t>& sizes) {
  if (!tensor.defined() || tensor.sizes() == sizes) return absl::OkStatus();
  return BadShape(
      name, tensor,
      absl::StrCat("[", absl::StrJoin(sizes, ", "), "] is expected"));
}

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

absl::Status CheckIdsOrEmbeds(const at::Tensor& ids, const at::Tensor& embeds,
                              int64_t hidden_size, absl::string_view prefix) {
  const std::string ids_name = absl::StrCat(prefix, "input_ids");
  const std::string embeds_name = absl::StrCat(prefix, "inputs_embeds");
  const bool by_ids = ids.defined();
  if (by_ids == embeds.defined()) {
    return absl::InvalidArgumentError(
        by_ids ? absl::StrCat(ids_name, " and ", embeds_name,
                              ": give one of them, not both")
               : absl::StrCat("give ", ids_name, ", or ", embeds_name));
  }
  if (by_ids && ids.dim() != 2) {
    return BadShape(ids_name, ids, "[batch, tokens] is expected");
  }
  if (!by_ids && (embeds.dim() != 3 || embeds.size(2) != hidden_size)) {
    return BadShape(
        embeds_name, embeds,
        absl::StrCat("[batch, tokens, ", hidden_size, "] is expected"));
  }
  const at::Tensor& main = by_ids ? ids : embeds;
  if (main.size(0) == 0 || main.size(1) == 0) {
    return BadShape(by_ids ? ids_name : embeds_name, main,
                    "at least one row and one token are expected");
  }
  return absl::OkStatus();
}

absl::Status CheckCache(const KeyValueCache& cache, int64_t num_layers,
                        size_t min_tensors, size_t max_tensors, int64_t batch,
                        int64_t num_heads, int64_t head_size) {
  return CheckCache(
      cache, num_layers, min_tensors, max_tensors, batch,
      [num_heads](int64_t) { return num_heads; }, head_size);
}

absl::Status CheckCache(const KeyValueCache& cache, int64_t num_layers,
                        size_t min_tensors, size_t max_tensors, int64_t batch,
                        absl::FunctionRef<int64_t(int64_t)> num_heads,
                        int64_t head_size) {
  if (cache.empty()) return absl::OkStatus();
  if (static_cast<int64_t>(cache.size()) != num_layers) {
    return absl::InvalidArgumentError(
        absl::StrCat("past_key_values: holds ", cache.size(),
                     " layers, but the model has ", num_layers));
  }
  for (size_t i = 0; i < cache.size(); ++i) {
    const LayerCache& layer = cache[i];
    const int64_t heads = num_heads(static_cast<int64_t>(i));
    if (layer.size() < min_tensors || layer.size() > max_tensors) {
      return absl::InvalidArgumentError(
          absl::StrCat("past_key_values.", i, ": holds ", layer.size(),
                       " tensors, but ", min_tensors,
                       min_tensors == 4 ? " are expected with encoder states"
                                        : " are expected"));
    }
    for (size_t n = 0; n < layer.size(); ++n) {
      const std::string name = absl::StrCat("past_key_values.", i, ".", n);
      const at::Tensor& tensor = layer[n];
      if (!tensor.defined()) {
        return absl::InvalidArgumentError(absl::StrCat(name, ": is not given"));
      }
      if (tensor.dim() != 4 || tensor.size(0) != batch ||
          (heads >= 0 && tensor.size(1) != heads) ||
          tensor.size(3) != head_size ||
          (n < 2 && tensor.size(2) != CachedLength(cache))) {
        return BadShape(name, tensor,
                        absl::StrCat("[", batch, ", ",
                                     heads < 0 ? "heads" : absl::StrCat(heads),
                                     ", tokens, ", head_size, "] is expected"));
      }
    }
  }
  return absl::OkStatus();
}

int64_t CachedLength(const KeyValueCache& cache) {
  if (cache.empty() || cache[0].empty() || !cache[0][0].defined() ||
      cache[0][0].dim() != 4) {
    return 0;
  }
  return cache[0][0].size(2);
}

}  // namespace pretrained
