#ifndef PRETRAINED_MODELING_NAMED_INPUTS_H_
#define PRETRAINED_MODELING_NAMED_INPUTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "modeling/model_output.h"

namespace pretrained {

// Takes a model's inputs by the names of forward's arguments, so that a model's
// list of them is written once:
//
//   NamedInputs named(class_name(), inputs);
//   named.Take("input_ids", arguments.input_ids);
//   named.Take("labels", arguments.labels);
//   named.TakeCache("past_key_values", arguments.past_key_values);
//   absl::Status status = named.Finish();
//
// A tensor that is not given stays as it is.
class NamedInputs {
 public:
  NamedInputs(absl::string_view class_name, const NamedTensors& inputs)
      : class_name_(class_name), inputs_(inputs) {}

  void Take(absl::string_view name, at::Tensor& tensor);
  // From NAME.LAYER.INDEX.
  void TakeCache(absl::string_view name, KeyValueCache& cache);

  // kInvalidArgument, listing the names that were asked for, for an input that
  // none of them took.
  absl::Status Finish() const;

 private:
  std::string class_name_;
  const NamedTensors& inputs_;
  std::vector<std::string> names_;   // Asked for.
  std::vector<std::string> caches_;  // Asked for as a cache.
};

// Checks that models share. Messages name the input, what it is, and what was
// expected; an undefined tensor passes.

// "input_ids: has shape [2, 3], but <expected>".
absl::Status BadShape(absl::string_view name, const at::Tensor& tensor,
                      absl::string_view expected);

// The tensor must have just these sizes.
absl::Status CheckShape(absl::string_view name, const at::Tensor& tensor,
                        const std::vector<int64_t>& sizes);

// Ids must be of an integer type, and lie from 0 to `limit` - 1; `limit_name`
// is the config's name for that. Values are looked at on the CPU only.
absl::Status CheckIds(absl::string_view name, const at::Tensor& ids,
                      int64_t limit, absl::string_view limit_name);

// Just one of `ids` [batch, tokens] and `embeds` [batch, tokens, hidden_size]
// must be given, with a row and a token at least. `prefix` goes before the
// names input_ids and inputs_embeds: "decoder_".
absl::Status CheckIdsOrEmbeds(const at::Tensor& ids, const at::Tensor& embeds,
                              int64_t hidden_size,
                              absl::string_view prefix = "");

// Where a cache is given, it must have `num_layers` layers of `min_tensors` to
// `max_tensors` tensors each, all [batch, heads, tokens, head_size], and the
// first two of each layer must hold the same number of tokens.
//   num_heads  of each layer; -1 where that is not checked here
absl::Status CheckCache(const KeyValueCache& cache, int64_t num_layers,
                        size_t min_tensors, size_t max_tensors, int64_t batch,
                        absl::FunctionRef<int64_t(int64_t layer)> num_heads,
                        int64_t head_size);

// For layers that all have `num_heads`.
absl::Status CheckCache(const KeyValueCache& cache, int64_t num_layers,
                        size_t min_tensors, size_t max_tensors, int64_t batch,
                        int64_t num_heads, int64_t head_size);

// Tokens that a cache covers; 0 for none, or for one that is not well-formed.
int64_t CachedLength(const KeyValueCache& cache);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_NAMED_INPUTS_H_
